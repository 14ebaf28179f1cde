// Reading messages: lists, queue state, position.
import { decodeCursor, toPage } from '../cursor.ts'
import type { MessageRecord, MessageStore, UnfinishedMessage } from '../message-store.ts'
import { findNumber } from './contacts.ts'
import type { SqliteDatabase } from './database.ts'
import { findMessage, laneNumber, toMessage } from './message-row.ts'
import { toUnfinished } from './queued-messages.ts'
import { rowNumber } from './row-number.ts'

type ListQuery = Parameters<MessageStore['list']>[0]
type Value = string | number

/** Must run inside `read`. Without a direction both are read by their index and merged, so that no list ever scans past what it shows. */
export function listMessages(db: SqliteDatabase, query: ListQuery) {
  const { sessionId, status, recipient, since = 0, direction, limit, cursor } = query
  const [createdAt, id] = cursor ? decodeCursor(cursor, ['number', 'msg_']) : [Number.MAX_SAFE_INTEGER, '']
  const n = (id && rowNumber(db, 'messages', id)) || 0
  const conditions = ['created_at >= ?', '(created_at, n) < (?, ?)']
  const values: Value[] = [since, createdAt, n]
  const require = (column: string, value: Value | undefined) => {
    if (value === undefined) return
    conditions.push(`${column} = ?`)
    values.push(value)
  }
  require('session_id', sessionId)
  require('status', status)
  const directions =
    direction || status || recipient || !sessionId ? [direction] : (['inbound', 'outbound'] as const).map((each) => each)
  const chats = recipient === undefined ? [undefined] : chatsOf(db, sessionId, recipient)
  const parts = directions.flatMap((each) => chats.map((chat) => ({ direction: each, recipient: chat })))
  const rows = parts.flatMap((part) => {
    const fields = Object.entries(part).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]))
    const where = [...conditions, ...fields.map(({ name }) => `${name} = ?`)].join(' AND ')
    const all = [...values, ...fields.map(({ value }) => value)]
    return db.sql(`SELECT * FROM messages WHERE ${where} ORDER BY created_at DESC, n DESC LIMIT ?`).all(...all, limit + 1)
  })
  const position = (row: Record<string, unknown>): [number, number] => [row['created_at'] as number, row['n'] as number]
  rows.sort((a, b) => position(b)[0] - position(a)[0] || position(b)[1] - position(a)[1])
  return toPage(rows, limit, toMessage, (row) => [row['created_at'] as number, row['id'] as string])
}

/** What was written to a LID before its number was known stands under the LID, what came later under the number. */
function chatsOf(db: SqliteDatabase, sessionId: string | undefined, recipient: string): string[] {
  const number = sessionId === undefined ? null : findNumber(db, sessionId, recipient)
  return number === null ? [recipient] : [recipient, number]
}

/** Must run inside `read`. The plus keeps to the index by id: by session SQLite would read all that the session has. */
export function listById(db: SqliteDatabase, sessionId: string, ids: readonly string[]): MessageRecord[] {
  return db
    .sql('SELECT * FROM messages WHERE id IN (SELECT value FROM json_each(?)) AND +session_id = ?')
    .all(JSON.stringify(ids), sessionId)
    .map(toMessage)
}

/** Must run inside `read`. */
export function listScheduled(db: SqliteDatabase, sessionId: string, limit: number): MessageRecord[] {
  return db
    .sql(`SELECT * FROM messages WHERE session_id = ? AND status = 'scheduled' ORDER BY send_at, n LIMIT ?`)
    .all(sessionId, limit)
    .map(toMessage)
}

const unfinishedColumns = 'id, sequence, lane, status, recipient, held_until'

/** Must run inside `read`. */
export function listUnfinished(
  db: SqliteDatabase,
  sessionId: string,
  query: { priority?: string; limit: number },
): UnfinishedMessage[] {
  const lanes = query.priority ? [laneNumber(query.priority as UnfinishedMessage['priority'])] : [1, 2, 3]
  const rows = lanes.flatMap((lane) =>
    db
      .sql(
        `SELECT ${unfinishedColumns} FROM messages WHERE session_id = ? AND lane = ? AND status IN ('queued', 'sending')
         ORDER BY sequence LIMIT ?`,
      )
      .all(sessionId, lane, query.limit),
  )
  return rows
    .map(toUnfinished)
    .toSorted((a, b) => a.sequence - b.sequence)
    .slice(0, query.limit)
}

/** Must run inside `read`. Jumps from session to session, never over a session's whole queue unless all of it is fresh. */
export function listSessionsWithStale(db: SqliteDatabase, before: number, limit: number, afterSessionId: string): string[] {
  const found: string[] = []
  for (let last = afterSessionId; found.length < limit;) {
    const next = db
      .sql(`SELECT session_id FROM messages WHERE session_id > ? AND status IN ('queued', 'sending') ORDER BY session_id LIMIT 1`)
      .get(last)
    if (!next) break
    last = next['session_id'] as string
    const stale = db
      .sql(`SELECT 1 FROM messages WHERE session_id = ? AND status IN ('queued', 'sending') AND updated_at < ?
         AND (held_until IS NULL OR held_until < ?) LIMIT 1`)
      .get(last, before, before)
    if (stale) found.push(last)
  }
  return found
}

/** Must run inside `read`. */
export function listDeepestQueues(db: SqliteDatabase, limit: number): string[] {
  return db
    .sql('SELECT session_id FROM session_counters WHERE depth > 0 ORDER BY depth DESC, session_id LIMIT ?')
    .all(limit)
    .map((row) => row['session_id'] as string)
}

/** Must run inside `read`. */
export function queueState(db: SqliteDatabase, sessionId: string) {
  const counters = db.sql('SELECT depth, scheduled FROM session_counters WHERE session_id = ?').get(sessionId)
  const heads = [1, 2, 3].map((lane) =>
    db
      .sql(
        `SELECT reached_at ->> 'queued' AS queued_at, created_at FROM messages
         WHERE session_id = ? AND lane = ? AND status IN ('queued', 'sending') ORDER BY sequence LIMIT 1`,
      )
      .get(sessionId, lane),
  )
  const times = heads.flatMap((row) => (row ? [Number(row['queued_at'] ?? row['created_at'])] : []))
  return {
    depth: Number(counters?.['depth'] ?? 0),
    scheduled: Number(counters?.['scheduled'] ?? 0),
    oldestQueuedAt: times.length > 0 ? Math.min(...times) : null,
  }
}

/** Must run inside `read`. */
export function positionOf(db: SqliteDatabase, sessionId: string, id: string): number | null {
  const message = findMessage(db, sessionId, id)
  if (message?.status !== 'queued') return null
  const row = db
    .sql(
      `SELECT count(*) AS count FROM messages WHERE session_id = ? AND status IN ('queued', 'sending')
       AND (lane, sequence) < (?, ?)`,
    )
    .get(sessionId, laneNumber(message.priority), message.sequence)
  return row?.['count'] as number
}
