// The event log in SQLite as its readers see it: pages from a place on, what was swept, and where a time stands.
import { aheadOfLog, badCursor } from '../cursor.ts'
import type { EventRecord, EventType, LogPage } from '../event-store.ts'
import { pageOfLog, placeSteps } from '../log-page.ts'
import type { DatedLog } from '../place-before.ts'
import type { SqliteDatabase } from './database.ts'

type Row = Record<string, unknown>

/** Must run inside `read`. The newest place is read first and the gap last, so that what others do in between goes unseen by neither. */
export function readLog(
  db: SqliteDatabase,
  query: { sessionId?: string; after?: string; types?: readonly EventType[]; limit: number },
): LogPage {
  const { sessionId, types, limit } = query
  const after = query.after === undefined ? 0 : placeOf(query.after)
  const newest = newestOf(db, sessionId)
  if (after > newest) throw aheadOfLog()
  const found =
    sessionId === undefined ? rowsOfFleet(db, after, types, limit + 1) : rowsOfSession(db, sessionId, after, types, limit + 1)
  const { rows, ...page } = pageOfLog({
    found,
    place: (row) => row[sessionId === undefined ? 'n' : 'sequence'] as number,
    after: query.after === undefined ? undefined : after,
    newest,
    sweptTo: sessionId === undefined ? sweptTo(db) : sweptOf(db, sessionId, after, newest),
    limit,
    step: placeSteps[sessionId === undefined ? 'fleet' : 'session'],
  })
  return { events: rows.map(toEvent), ...page }
}

/** Must run inside `read`. The highest place ever given: events may have been swept, their places are not given again. */
export function newestOf(db: SqliteDatabase, sessionId: string | undefined): number {
  if (sessionId === undefined) {
    return Number(db.sql(`SELECT seq FROM sqlite_sequence WHERE name = 'events'`).get()?.['seq'] ?? 0)
  }
  return Number(db.sql('SELECT event_sequence AS n FROM session_counters WHERE session_id = ?').get(sessionId)?.['n'] ?? 0)
}

/** Of the whole log, or of a session by its sequences. */
export function datedLog(db: SqliteDatabase, sessionId: string | undefined): DatedLog {
  const [place, where, owner] =
    sessionId === undefined ? (['n', '', []] as const) : (['sequence', 'session_id = ? AND', [sessionId]] as const)
  const ask = async (condition: string, from: number, limit: number) =>
    db.read(() => {
      const rows = db.sql(`SELECT ${place} AS place, at FROM events WHERE ${where} ${place} ${condition} LIMIT ?`)
      return rows.all(...owner, from, limit).map((row) => ({ place: row['place'] as number, at: row['at'] as number }))
    })
  return {
    newest: async () => db.read(() => newestOf(db, sessionId)),
    from: async (from, limit) => ask(`>= ? ORDER BY ${place}`, from, limit),
    before: async (end, limit) => ask(`< ? ORDER BY ${place} DESC`, end, limit),
  }
}

/** Retention has removed everything up to this row number. */
function sweptTo(db: SqliteDatabase): number {
  return Number(db.sql('SELECT swept_to FROM event_log WHERE id = 1').get()?.['swept_to'] ?? 0)
}

/** A session's sequences have no gaps but those of restores, so that its first event after a place says what was swept. */
function sweptOf(db: SqliteDatabase, sessionId: string, after: number, newest: number): number {
  const first = db.sql('SELECT min(sequence) AS n FROM events WHERE session_id = ? AND sequence > ?').get(sessionId, after)?.['n']
  return typeof first === 'number' ? first - 1 : newest
}

export function rowsOfSession(
  db: SqliteDatabase,
  sessionId: string,
  afterSequence: number,
  types: readonly EventType[] | undefined,
  limit: number,
): Row[] {
  if (!types) {
    return db
      .sql('SELECT * FROM events WHERE session_id = ? AND sequence > ? ORDER BY sequence LIMIT ?')
      .all(sessionId, afterSequence, limit)
  }
  return db
    .sql(
      `SELECT * FROM events WHERE session_id = ? AND sequence > ? AND type IN (SELECT value FROM json_each(?))
       ORDER BY sequence LIMIT ?`,
    )
    .all(sessionId, afterSequence, JSON.stringify(types), limit)
}

export function rowsOfFleet(db: SqliteDatabase, position: number, types: readonly EventType[] | undefined, limit: number): Row[] {
  if (!types) return db.sql('SELECT * FROM events WHERE n > ? ORDER BY n LIMIT ?').all(position, limit)
  return [...new Set(types)]
    .flatMap((type) => db.sql('SELECT * FROM events WHERE type = ? AND n > ? ORDER BY n LIMIT ?').all(type, position, limit))
    .toSorted((a, b) => (a['n'] as number) - (b['n'] as number))
    .slice(0, limit)
}

function placeOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw badCursor('after')
  return Number(text)
}

export function toEvent(row: Row): EventRecord {
  return {
    id: row['id'] as string,
    sessionId: row['session_id'] as string,
    sequence: row['sequence'] as number,
    type: row['type'] as EventType,
    at: row['at'] as number,
    data: JSON.parse(row['data'] as string) as Record<string, unknown>,
    cursor: String(row['n']),
  }
}
