// Accepting a message: idempotency key, depth, sequence, message and events in one transaction.
import type { Describe, PublishedEvent } from '../event-store.ts'
import { isUnfinished } from '../message-status.ts'
import type { AcceptOutcome, Lane, MessageRecord, MessageStore } from '../message-store.ts'
import { recordHeardFrom, underNumber } from './contacts.ts'
import type { SqliteDatabase } from './database.ts'
import { findMessage, insertMessage, toMessage } from './message-row.ts'
import { insertEvents, ofOtherLanes, publish } from './outbox.ts'

type AcceptInput = Parameters<MessageStore['accept']>[0]

interface Counters {
  message_sequence: number
  event_sequence: number
  depth: number
  scheduled: number
  depth_high: number
  depth_bulk: number
}

/** Must run inside `write`. */
export function acceptMessage(db: SqliteDatabase, input: AcceptInput, describe: Describe<MessageRecord>): AcceptOutcome {
  const { idempotency, maxQueueDepth, now } = input
  const { sessionId } = input.message
  const counters = db
    .sql(
      `SELECT message_sequence, event_sequence, depth, scheduled, depth_high, depth_bulk FROM session_counters
       JOIN sessions ON sessions.id = session_id WHERE session_id = ? AND deleted_at IS NULL`,
    )
    .get(sessionId) as Counters | undefined
  if (!counters) return { outcome: 'no_session' }

  if (idempotency) {
    const earlier = earlierAnswer(db, sessionId, idempotency, now)
    if (earlier) return earlier
  }
  const isScheduled = input.message.status === 'scheduled'
  const depth = isScheduled ? counters.scheduled : counters.depth
  if (depth >= maxQueueDepth) return { outcome: 'queue_full', depth }

  const message = { ...underNumber(db, input.message), sequence: isScheduled ? null : counters.message_sequence + 1 }
  insertMessage(db, message)
  if (idempotency) {
    db.sql(
      `INSERT INTO idempotency_keys (session_id, key, body_hash, message_id, expires_at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (session_id, key) DO UPDATE SET body_hash = excluded.body_hash, message_id = excluded.message_id,
         expires_at = excluded.expires_at`,
    ).run(sessionId, idempotency.key, idempotency.bodyHash, message.id, idempotency.expiresAt)
  }
  const drafts = describe(message)
  const added = Number(isUnfinished(message.status))
  const [addedHigh, addedBulk] = ofOtherLanes({ lane: message.priority, depth: added })
  db.sql(
    `UPDATE session_counters SET message_sequence = ?, event_sequence = ?, depth = ?, scheduled = ?, depth_high = ?, depth_bulk = ?
     WHERE session_id = ?`,
  ).run(
    message.sequence ?? counters.message_sequence,
    counters.event_sequence + drafts.length,
    counters.depth + added,
    counters.scheduled + Number(isScheduled),
    counters.depth_high + addedHigh,
    counters.depth_bulk + addedBulk,
    sessionId,
  )
  const published = insertEvents(db, sessionId, drafts, counters.event_sequence)
  return { outcome: 'accepted', message, position: isScheduled ? null : depthBefore(counters, message.priority), published }
}

/** How many stand before the end of this lane. */
function depthBefore(counters: Counters, lane: Lane): number {
  if (lane === 'high') return counters.depth_high
  return lane === 'bulk' ? counters.depth : counters.depth - counters.depth_bulk
}

function earlierAnswer(
  db: SqliteDatabase,
  sessionId: string,
  idempotency: NonNullable<AcceptInput['idempotency']>,
  now: number,
): AcceptOutcome | null {
  const earlier = db
    .sql('SELECT body_hash, message_id FROM idempotency_keys WHERE session_id = ? AND key = ? AND expires_at > ?')
    .get(sessionId, idempotency.key, now)
  if (!earlier) return null
  if (earlier['body_hash'] !== idempotency.bodyHash) return { outcome: 'key_reused' }
  const message = findMessage(db, sessionId, earlier['message_id'] as string)
  return message && { outcome: 'replayed', message }
}

/** Must run inside `write`. Null when it is there already, or its session is gone. */
export function storeInbound(
  db: SqliteDatabase,
  message: MessageRecord,
  describe: Describe<MessageRecord>,
): { record: MessageRecord; published: PublishedEvent[] } | null {
  const known = db
    .sql(
      `SELECT 1 FROM messages WHERE session_id = ? AND whatsapp_id = ? AND recipient = ? AND coalesce(participant, '') = ?
       AND direction = 'inbound'`,
    )
    .get(message.sessionId, message.whatsappId, message.recipient, message.participant ?? '')
  if (known || !db.sql('SELECT 1 FROM session_counters WHERE session_id = ?').get(message.sessionId)) return null
  insertMessage(db, message)
  recordHeardFrom(db, message, message.reachedAt.received ?? message.createdAt)
  return { record: message, published: publish(db, message.sessionId, describe(message)) }
}

export function findByWhatsappId(db: SqliteDatabase, sessionId: string, whatsappId: string): MessageRecord | null {
  const row =
    db
      .sql(`SELECT * FROM messages WHERE session_id = ? AND whatsapp_id = ? AND direction = 'outbound'`)
      .get(sessionId, whatsappId) ??
    db
      .sql(`SELECT * FROM messages WHERE session_id = ? AND whatsapp_id = ? AND direction = 'inbound' LIMIT 1`)
      .get(sessionId, whatsappId)
  return row ? toMessage(row) : null
}
