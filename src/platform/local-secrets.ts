// Secrets that a machine makes for itself once: read from their file, or created there, readable by the owner alone.
import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { newSecret } from './crypto.ts'
import { AppError } from './errors.ts'

const adminKeyPattern = /^uj_admin_[A-Za-z0-9_-]{43}$/

/**
 * The admin key: the configured one, else the one in the file, else a new one that is now in the file (`isNew`).
 * Processes that start together get the same one. At boot only: it blocks.
 * @throws AppError `configuration` when the file holds something else.
 */
export function ensureAdminKey(config: { adminKey?: string | undefined; adminKeyPath: string }): { key: string; isNew: boolean } {
  if (config.adminKey) return { key: config.adminKey, isNew: false }
  const { text, isNew } = readOrCreate(config.adminKeyPath, () => newSecret('uj_admin_'))
  const key = text.trim()
  if (!adminKeyPattern.test(key)) {
    throw new AppError('configuration', `${config.adminKeyPath} does not hold an admin key. Remove it, or set UJUMBE_ADMIN_KEY.`)
  }
  return { key, isNew }
}

/** A whole file appears by `link`, which fails when it exists: nobody ever reads half a secret, and the first writer wins. */
function readOrCreate(path: string, make: () => string): { text: string; isNew: boolean } {
  const existing = unlessCode('ENOENT', () => readFileSync(path, 'utf8'))
  if (existing !== null) return { text: existing, isNew: false }
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`
  writeFileSync(draft, `${make()}\n`, { mode: 0o600, flag: 'wx' })
  try {
    const isNew = unlessCode('EEXIST', () => linkSync(draft, path)) !== null
    return { text: readFileSync(path, 'utf8'), isNew }
  } finally {
    unlinkSync(draft)
  }
}

/** Null when it fails with that system error. */
function unlessCode<T>(code: string, run: () => T): T | null {
  try {
    return run()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === code) return null
    throw error
  }
}
