// The event log in SQLite; the row number is the cursor, so that it rises in commit order.
import { badCursor } from '../cursor.ts'
import type { EventStore } from '../event-store.ts'
import type { SqliteDatabase } from './database.ts'
import { datedLog, newestOf, readLog, rowsOfFleet, rowsOfSession, toEvent } from './event-log.ts'
import { placeBeforeTime } from '../place-before.ts'
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
          ? rowsOfSession(
              db,
              query.sessionId,
              Math.max(query.afterSequence ?? 0, sequenceAt(db, query.sessionId, after)),
              query.types,
              query.limit,
            )
          : rowsOfFleet(db, after, query.types, query.limit)
        return rows.map(toEvent)
      }),

    read: (query) => db.read(() => readLog(db, query)),

    newestPlace: (sessionId) => db.read(() => String(newestOf(db, sessionId))),

    placeBefore: async (at, sessionId) => String(await placeBeforeTime(datedLog(db, sessionId), at)),
  }
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

function positionOf(cursor: string): number {
  if (!/^\d{1,15}$/.test(cursor)) throw badCursor()
  return Number(cursor)
}
