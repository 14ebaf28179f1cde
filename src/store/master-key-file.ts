// Changing the file of master keys: a new key on top, old ones away; whole or not at all, and by one process at a time.
import { randomBytes } from 'node:crypto'
import { chownSync, closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { AppError } from '../platform/errors.ts'
import { flushDirectory, readKeyFile } from './key-ring.ts'

/** From now on new things are sealed with a new key; all others stay known. */
export function addMasterKey(path: string): void {
  write(path, [randomBytes(32), ...readKeyFile(path)])
}

/** Keeps the current key alone. Whatever is sealed with the others cannot be opened any more. Returns how many were forgotten. */
export function forgetOldMasterKeys(path: string): number {
  const [current, ...old] = readKeyFile(path)
  if (current && old.length > 0) write(path, [current])
  return old.length
}

/**
 * Two that add a key at once would lose one of both. The lock of a process that was killed is taken over.
 * @throws AppError `configuration` while another process has it
 */
export function lockKeyFile(path: string): () => void {
  const lock = `${path}.lock`
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      const fd = openSync(lock, 'wx', 0o600)
      writeSync(fd, String(process.pid))
      closeSync(fd)
      return () => rmSync(lock, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      const pid = Number(readFileSync(lock, 'utf8'))
      if (isAlive(pid))
        throw new AppError('configuration', `Another rotation is running (process ${pid}). If not, remove ${lock}.`)
      rmSync(lock, { force: true })
    }
  }
  throw new AppError('configuration', `The lock ${lock} could not be taken.`)
}

function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function write(path: string, keys: readonly Buffer[]): void {
  const draft = `${path}.${process.pid}.new`
  const { uid, gid } = statSync(path)
  const fd = openSync(draft, 'w', 0o600)
  try {
    writeSync(fd, keys.map((key) => `${key.toString('base64')}\n`).join(''))
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  if (uid !== process.getuid?.() || gid !== process.getgid?.()) chownSync(draft, uid, gid)
  renameSync(draft, path)
  flushDirectory(dirname(path))
}
