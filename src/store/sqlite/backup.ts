// A copy of the SQLite file at one moment, made while others write, and putting such a copy in its place.
import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { AppError } from '../../platform/errors.ts'
import { placeSteps } from '../log-page.ts'
import { migrate } from './migrations.ts'

const lockWaitMs = 10_000

/**
 * One read transaction: writers go on, and the copy is of the moment it began. Whole or not there at all.
 * @throws AppError `configuration`; `conflict` when the copy is damaged
 */
export function backUpSqlite(from: string, to: string): void {
  if (!existsSync(from)) throw new AppError('configuration', `There is no database at ${from}.`)
  drafted(to, (draft) => {
    const db = new DatabaseSync(from, { timeout: lockWaitMs, readOnly: true })
    try {
      db.prepare('VACUUM INTO ?').run(draft)
    } finally {
      db.close()
    }
    chmodSync(draft, 0o600)
    check(draft)
    renameSync(draft, to)
  })
}

/**
 * The database that is there is kept beside it. Returns where, or null.
 * @throws AppError `configuration` while any process has the database open, or when the backup is of a newer version; `conflict` when it is damaged
 */
export function restoreSqlite(from: string, to: string): string | null {
  if (!existsSync(from)) throw new AppError('configuration', `There is no backup at ${from}.`)
  check(from)
  mkdirSync(dirname(to), { recursive: true })
  return drafted(to, (draft) => {
    copyFileSync(from, draft)
    chmodSync(draft, 0o600)
    check(draft)
    beginNextPart(draft)
    let kept: string | null = null
    if (existsSync(to) && statSync(to).size > 0) {
      requireUnused(to)
      kept = `${to}.before-${new Date().toISOString().replace(/[:.]/g, '-')}`
      renameSync(to, kept)
    }
    // They belong to the file that was there.
    for (const end of ['-wal', '-shm']) rmSync(`${to}${end}`, { force: true })
    renameSync(draft, to)
    return kept
  })
}

/** All messages stand in a draft: what fails on the way leaves none behind, nor does one of an earlier run that was killed. */
function drafted<T>(to: string, write: (draft: string) => T): T {
  const draft = `${to}.part`
  rmSync(draft, { force: true })
  try {
    return write(draft)
  } finally {
    rmSync(draft, { force: true })
  }
}

/** No place of the event log is given twice, not even one that the backup does not know of. */
function beginNextPart(path: string): void {
  const db = new DatabaseSync(path)
  try {
    migrate(db)
    const next = (place: string, step: number) => `(${place} / ${step} + 1) * ${step}`
    db.exec(`BEGIN IMMEDIATE;
      INSERT INTO sqlite_sequence (name, seq) SELECT 'events', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'events');
      UPDATE sqlite_sequence SET seq = ${next('seq', placeSteps.fleet)} WHERE name = 'events';
      UPDATE session_counters SET event_sequence = ${next('event_sequence', placeSteps.session)};
      COMMIT`)
  } finally {
    db.close()
  }
}

function check(path: string): void {
  const db = new DatabaseSync(path)
  try {
    const answer = db.prepare('PRAGMA integrity_check(1)').get()?.['integrity_check']
    if (answer !== 'ok') throw new AppError('conflict', `The copy ${path} is damaged: ${String(answer)}`)
  } catch (cause) {
    throw cause instanceof AppError ? cause : new AppError('conflict', `The copy ${path} is damaged.`, { cause })
  } finally {
    db.close()
  }
}

/** SQLite leaves WAL mode only for whoever is alone with the file; what is in the log is then in the file. */
function requireUnused(path: string): void {
  const db = new DatabaseSync(path, { timeout: 0 })
  try {
    if (db.prepare('PRAGMA journal_mode = DELETE').get()?.['journal_mode'] === 'delete') return
  } catch {
    // locked
  } finally {
    db.close()
  }
  throw new AppError('configuration', `Some process has ${path} open. Stop the fleet first.`)
}
