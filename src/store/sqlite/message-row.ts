// Messages as rows of SQLite and back, and the one way a change of a message is written.
import type { Describe, Outcome } from '../event-store.ts'
import { isUnfinished, opensGap, reachesContact } from '../message-status.ts'
import { lanes, type HeldBy, type Lane, type MessageRecord, type MessageStatus } from '../message-store.ts'
import { recordWrittenTo } from './contacts.ts'
import type { SqliteDatabase } from './database.ts'
import { publish } from './outbox.ts'

interface MessageRow {
  n: number
  id: string
  session_id: string
  direction: 'inbound' | 'outbound'
  status: MessageStatus
  lane: number
  sequence: number | null
  recipient: string
  participant: string | null
  whatsapp_id: string
  send_at: number | null
  expires_at: number | null
  held_by: HeldBy | null
  held_until: number | null
  attempt_count: number
  created_at: number
  updated_at: number
  reached_at: string
  address: string
  error: string | null
  client_reference: string | null
  reply_to: string | null
  mentions: string
  type: string
  content: string
}

/** Lanes as numbers sort by precedence. */
export function laneNumber(lane: Lane): number {
  return lanes.indexOf(lane) + 1
}

export function laneOf(number: number): Lane {
  return lanes[number - 1] ?? 'normal'
}

export function toMessage(raw: Record<string, unknown>): MessageRecord {
  const row = raw as unknown as MessageRow
  return {
    id: row.id,
    sessionId: row.session_id,
    direction: row.direction,
    address: JSON.parse(row.address) as MessageRecord['address'],
    recipient: row.recipient,
    participant: row.participant,
    type: row.type,
    content: JSON.parse(row.content) as Record<string, unknown>,
    status: row.status,
    whatsappId: row.whatsapp_id,
    priority: laneOf(row.lane),
    sequence: row.sequence,
    sendAt: row.send_at,
    expiresAt: row.expires_at,
    heldBy: row.held_by,
    heldUntil: row.held_until,
    error: row.error === null ? null : (JSON.parse(row.error) as MessageRecord['error']),
    clientReference: row.client_reference,
    replyTo: row.reply_to,
    mentions: row.mentions === '[]' ? [] : (JSON.parse(row.mentions) as string[]),
    attemptCount: row.attempt_count,
    reachedAt: JSON.parse(row.reached_at) as MessageRecord['reachedAt'],
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

export function findMessage(db: SqliteDatabase, sessionId: string, id: string): MessageRecord | null {
  const row = db.sql('SELECT * FROM messages WHERE id = ? AND session_id = ?').get(id, sessionId)
  return row ? toMessage(row) : null
}

/** Does not touch the session's counters: see `countersOf`. */
export function insertMessage(db: SqliteDatabase, m: MessageRecord): void {
  db.sql(
    `INSERT INTO messages (id, session_id, direction, status, lane, sequence, recipient, participant, whatsapp_id, send_at,
       expires_at, held_by, held_until, attempt_count, created_at, updated_at, reached_at, address, error, client_reference,
       reply_to, mentions, type, content)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    m.id,
    m.sessionId,
    m.direction,
    m.status,
    laneNumber(m.priority),
    m.sequence,
    m.recipient,
    m.participant,
    m.whatsappId,
    m.sendAt,
    m.expiresAt,
    m.heldBy,
    m.heldUntil,
    m.attemptCount,
    m.createdAt,
    m.updatedAt,
    JSON.stringify(m.reachedAt),
    JSON.stringify(m.address),
    m.error === null ? null : JSON.stringify(m.error),
    m.clientReference,
    m.replyTo,
    m.mentions.length === 0 ? '[]' : JSON.stringify(m.mentions),
    m.type,
    JSON.stringify(m.content),
  )
}

/** Writes what may change on a message, its session's counters, and the events of the change. Must run inside `write`. */
export function saveChange(
  db: SqliteDatabase,
  before: MessageRecord,
  after: MessageRecord,
  describe: Describe<MessageRecord>,
): Outcome<MessageRecord> {
  db.sql(
    `UPDATE messages SET status = ?, sequence = ?, held_by = ?, held_until = ?, attempt_count = ?, updated_at = ?,
       reached_at = ?, error = ?, address = ? WHERE id = ?`,
  ).run(
    after.status,
    after.sequence,
    after.heldBy,
    after.heldUntil,
    after.attemptCount,
    after.updatedAt,
    JSON.stringify(after.reachedAt),
    after.error === null ? null : JSON.stringify(after.error),
    JSON.stringify(after.address),
    after.id,
  )
  const published = publish(db, after.sessionId, describe(after), {
    depth: Number(isUnfinished(after.status)) - Number(isUnfinished(before.status)),
    scheduled: Number(after.status === 'scheduled') - Number(before.status === 'scheduled'),
    lane: after.priority,
  })
  if (reachesContact(before, after)) recordWrittenTo(db, after, after.reachedAt.sending ?? after.updatedAt)
  if (opensGap(before, after)) releaseBehind(db, after)
  return { record: after, published }
}

/** Each of its lane and recipient is looked at anew. */
function releaseBehind(db: SqliteDatabase, { sessionId, priority, recipient, sequence, updatedAt }: MessageRecord): void {
  db.sql(
    `UPDATE messages SET held_until = ? WHERE session_id = ? AND lane = ? AND recipient = ? AND sequence > ? AND status = 'queued'
     AND held_until IS NOT NULL AND held_until > ?`,
  ).run(updatedAt, sessionId, laneNumber(priority), recipient, sequence, updatedAt)
}
