// The schema's version number and its forward steps.
import type { DatabaseSync } from 'node:sqlite'
import { AppError } from '../../platform/errors.ts'
import { schema1 } from './schema-1.ts'
import { schema2 } from './schema-2.ts'
import { schema3 } from './schema-3.ts'
import { schema4 } from './schema-4.ts'
import { schema5 } from './schema-5.ts'
import { schema6 } from './schema-6.ts'
import { schema7 } from './schema-7.ts'
import { schema8 } from './schema-8.ts'
import { schema9 } from './schema-9.ts'

/** Step i brings version i to i + 1. Never edit one that was released: add another. */
const steps: readonly string[] = [schema1, schema2, schema3, schema4, schema5, schema6, schema7, schema8, schema9]

/**
 * One transaction; whoever comes second finds the work done. SQLite's "busy" passes through: try again.
 * @throws AppError `configuration` when the file is newer than this version of the product
 */
export function migrate(db: DatabaseSync): void {
  if (versionOf(db) === steps.length) return
  db.exec('BEGIN IMMEDIATE')
  try {
    const version = versionOf(db)
    if (version > steps.length) {
      throw new AppError(
        'configuration',
        `The database has schema version ${version}, this version of Ujumbe knows ${steps.length}: start a newer one.`,
      )
    }
    for (const step of steps.slice(version)) db.exec(step)
    db.exec(`PRAGMA user_version = ${steps.length}`)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

function versionOf(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.['user_version'])
}
