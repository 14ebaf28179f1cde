// Changing the file of master keys: a new key on top, old ones away; whole or not at all, and by one process at a time.
import { randomBytes } from 'node:crypto'
import {
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { AppError } from '../platform/errors.ts'
import { flushDirectory, readKeyFile } from './key-ring.ts'
import { tryLock } from './sqlite/file-lock.ts'

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
 * Two that add a key at once would lose one of both. Copies of the keys that killed processes left behind are removed.
 * @throws AppError `configuration` while another process has it
 */
export function lockKeyFile(path: string): () => void {
  const lock = `${path}.lock`
  endOldLock(lock)
  let unlock: (() => void) | null
  try {
    unlock = tryLock(lock)
  } catch (cause) {
    throw new AppError('configuration', `The lock ${lock} could not be taken: ${(cause as Error).message}.`, { cause })
  }
  if (!unlock) throw new AppError('configuration', `Another rotation is running: it holds ${lock}.`)
  takeOwner(path, lock)
  removeDrafts(path)
  return unlock
}

/**
 * Older versions wrote the id of their process into it, which a killed one left there. It is emptied, not removed: another may hold it by
 * now.
 */
function endOldLock(lock: string): void {
  const { size = 0 } = statSync(lock, { throwIfNoEntry: false }) ?? {}
  if (size === 0 || size > 10) return
  const pid = Number(readFileSync(lock, 'utf8'))
  if (isAlive(pid)) throw new AppError('configuration', `Another rotation is running (process ${pid}). If not, remove ${lock}.`)
  truncateSync(lock)
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

/** Of changes, `<file>.new`, and of the first key, `<file>.<pid>.<random>`, which `key-ring.ts` makes. */
function removeDrafts(path: string): void {
  const directory = dirname(path)
  for (const name of readdirSync(directory)) {
    if (!name.startsWith(`${basename(path)}.`)) continue
    const rest = name.slice(basename(path).length)
    if (/^(\.\d+)?\.new$|^\.\d+\.[0-9a-f]{8}$/.test(rest)) rmSync(join(directory, name), { force: true })
  }
}

/** Whoever may change the one file may change the other, also after a run as root. */
function takeOwner(from: string, to: string): void {
  const { uid, gid } = statSync(from)
  if (uid !== process.getuid?.() || gid !== process.getgid?.()) chownSync(to, uid, gid)
}

function write(path: string, keys: readonly Buffer[]): void {
  const draft = `${path}.new`
  const fd = openSync(draft, 'w', 0o600)
  try {
    writeSync(fd, keys.map((key) => `${key.toString('base64')}\n`).join(''))
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  takeOwner(path, draft)
  renameSync(draft, path)
  flushDirectory(dirname(path))
}
