// The row behind the id in a cursor. Row numbers count the rows of all sessions together, so that no cursor may hold one.
import type { SqliteDatabase } from './database.ts'

/** Must run inside `read`. Undefined when the row is gone, or never was. */
export function rowNumber(db: SqliteDatabase, table: 'messages' | 'deliveries' | 'replays', id: string): number | undefined {
  return db.sql(`SELECT n FROM ${table} WHERE id = ?`).get(id)?.['n'] as number | undefined
}
