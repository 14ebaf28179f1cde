// Bounds the log files that PM2 writes on this machine: one that has grown is put aside, and only the newest of these are kept.
import { constants, closeSync, fstatSync, ftruncateSync, openSync, readSync, renameSync, statSync, writeSync } from 'node:fs'
import { copyFile, readdir, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Log } from './log.ts'

interface KeepDeps {
  /** Of every `*.log` in these. One that is not there holds none. */
  directories: readonly string[]
  /** A file of this size is put aside. 0: none ever is. */
  maxBytes: number
  log: Log
  everyMs?: number
}

/** `<file>.1` is the newest. */
const keptCount = 4
const checkEveryMs = 10_000
/** A copy that has not been touched for so long was left by a process that died. */
const abandonedMs = 60_000

/** Looks at once and then every few seconds, until closed. Several may run: one of them puts a file aside. */
export function keepLogs({ directories, maxBytes, log, everyMs = checkEveryMs }: KeepDeps): { close(): Promise<void> } {
  if (maxBytes === 0) return { close: () => Promise.resolve() }
  const keep = async (path: string) => {
    try {
      const bytes = await putAside(path, maxBytes)
      if (bytes > 0) log.info({ file: basename(path), bytes }, 'log.put_aside')
    } catch (err) {
      log.warn({ err, file: basename(path) }, 'log.not_put_aside')
    }
  }
  const look = async () => {
    const found = await Promise.all(directories.map(listLogs))
    for (const path of found.flat()) await keep(path)
  }
  let isLooking = false
  let looked = Promise.resolve()
  const lookAgain = () => {
    if (isLooking) return
    isLooking = true
    looked = look().finally(() => (isLooking = false))
  }
  lookAgain()
  const timer = setInterval(lookAgain, everyMs)
  timer.unref()
  return {
    close: () => {
      clearInterval(timer)
      return looked
    },
  }
}

async function listLogs(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => [])
  return names.filter((name) => name.endsWith('.log')).map((name) => join(directory, name))
}

/** Returns how many bytes were put aside. A process that dies on the way leaves a part twice, never none. */
async function putAside(path: string, maxBytes: number): Promise<number> {
  if ((await stat(path)).size < maxBytes) return 0
  const copy = `${path}.part`
  try {
    await copyFile(path, copy, constants.COPYFILE_EXCL)
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST'
    const touchedAt = isThere ? ((await stat(copy).catch(() => null))?.mtimeMs ?? Date.now()) : 0
    if (Date.now() - touchedAt > abandonedMs) await rm(copy, { force: true })
    if (!isThere) throw error
    return 0
  }
  // Another process may have been quicker, between the look at its size and the copy.
  if ((await stat(copy)).size < maxBytes) {
    await rm(copy)
    return 0
  }
  return swap(path, copy)
}

/**
 * PM2 holds the file open and appends to it, so it is emptied, not replaced: `pm2 reloadLogs` drops what is written while it opens the
 * new one. What came during the copy is moved without giving way; only a line written between the last read and the cut is lost.
 */
function swap(path: string, copy: string): number {
  for (let n = keptCount - 1; n > 0; n -= 1) {
    if (statSync(`${path}.${n}`, { throwIfNoEntry: false })) renameSync(`${path}.${n}`, `${path}.${n + 1}`)
  }
  renameSync(copy, `${path}.1`)
  const [from, to] = [openSync(path, 'r+'), openSync(`${path}.1`, 'a')]
  try {
    const buffer = Buffer.allocUnsafe(64 * 1024)
    let end = fstatSync(to).size
    for (let read = -1; read !== 0; end += read) {
      read = readSync(from, buffer, 0, buffer.length, end)
      writeSync(to, buffer, 0, read)
    }
    ftruncateSync(from, 0)
    return end
  } finally {
    closeSync(from)
    closeSync(to)
  }
}
