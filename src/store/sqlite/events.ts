// The event log in SQLite; the row number is the cursor, so that it rises in commit order.
import { badCursor } from '../cursor.ts'
import type { EventRecord, EventStore, EventType } from '../event-store.ts'
import type { SqliteDatabase } from './database.ts'
import { publish } from './outbox.ts'

export function createEvents(db: SqliteDatabase): EventStore {
  return {
    append: (sessionId, drafts) =>
      db.write(() => {
        const session = db.sql('SELECT 1 FROM sessions WHERE id = ? AND deleted_at IS NULL').get(sessionId)
        return session ? publish(db, sessionId, drafts) : []
      }),

    get: (id) =>
      db.read(() => {
        const row = db.sql('SELECT * FROM events WHERE id = ?').get(id)
        return row ? toEvent(row) : null
      }),

    list: (query) =>
      db.read(() => {
        const after = query.afterCursor === undefined ? 0 : positionOf(query.afterCursor)
        const rows = query.sessionId
          ? ofSession(db, query.sessionId, after, query.afterSequence ?? 0, query.types, query.limit)
          : ofFleet(db, after, query.types, query.limit)
        return rows.map(toEvent)
      }),
  }
}

type Row = Record<string, unknown>

function ofSession(
  db: SqliteDatabase,
  sessionId: string,
  afterPosition: number,
  afterSequence: number,
  types: EventType[] | undefined,
  limit: number,
): Row[] {
  const sequence = Math.max(afterSequence, sequenceAt(db, sessionId, afterPosition))
  if (!types) {
    return db
      .sql('SELECT * FROM events WHERE session_id = ? AND sequence > ? ORDER BY sequence LIMIT ?')
      .all(sessionId, sequence, limit)
  }
  return db
    .sql(
      `SELECT * FROM events WHERE session_id = ? AND sequence > ? AND type IN (SELECT value FROM json_each(?))
       ORDER BY sequence LIMIT ?`,
    )
    .all(sessionId, sequence, JSON.stringify(types), limit)
}

/** The session's last sequence at or before a position of the whole log. */
function sequenceAt(db: SqliteDatabase, sessionId: string, position: number): number {
  if (position === 0) return 0
  const own = db.sql('SELECT sequence FROM events WHERE n = ? AND session_id = ?').get(position, sessionId)
  if (own) return own['sequence'] as number
  // The cursor points at another session's event: sequence and position rise together, so halving finds the place.
  const edge = (order: 'ASC' | 'DESC') =>
    db.sql(`SELECT sequence FROM events WHERE session_id = ? ORDER BY sequence ${order} LIMIT 1`).get(sessionId)?.['sequence']
  let low = Number(edge('ASC') ?? 1) - 1
  let high = Number(edge('DESC') ?? 0)
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    const row = db
      .sql('SELECT n FROM events WHERE session_id = ? AND sequence <= ? ORDER BY sequence DESC LIMIT 1')
      .get(sessionId, middle)
    if (row && (row['n'] as number) <= position) low = middle
    else high = middle - 1
  }
  return low
}

function ofFleet(db: SqliteDatabase, position: number, types: EventType[] | undefined, limit: number): Row[] {
  if (!types) return db.sql('SELECT * FROM events WHERE n > ? ORDER BY n LIMIT ?').all(position, limit)
  return [...new Set(types)]
    .flatMap((type) => db.sql('SELECT * FROM events WHERE type = ? AND n > ? ORDER BY n LIMIT ?').all(type, position, limit))
    .toSorted((a, b) => (a['n'] as number) - (b['n'] as number))
    .slice(0, limit)
}

function positionOf(cursor: string): number {
  if (!/^\d{1,15}$/.test(cursor)) throw badCursor()
  return Number(cursor)
}

function toEvent(row: Row): EventRecord {
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
