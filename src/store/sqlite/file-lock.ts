// A lock between processes that ends with its holder, however that ends: SQLite's own, on an empty file that stays.
import { DatabaseSync } from 'node:sqlite'
import { isBusy } from './sqlite-error.ts'

/** Returns what gives it back, or null while somebody has it. The file is never removed: another could hold a removed one and not know it. */
export function tryLock(path: string): (() => void) | null {
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    return () => database.close()
  } catch (error) {
    database.close()
    if (isBusy(error)) return null
    throw error
  }
}
