// Taking a message for sending: the one place where the order of a lane is decided.
import type { Describe } from '../event-store.ts'
import { advanced, isUnfinished } from '../message-status.ts'
import type { MessageRecord, MessageStore, TakeOutcome } from '../message-store.ts'
import type { SqliteDatabase } from './database.ts'
import { findMessage, laneNumber, saveChange } from './message-row.ts'
import { requireEpoch } from './session-row.ts'

type TakeInput = Parameters<MessageStore['take']>[0]

/** Must run inside `write`. @throws AppError `stale_epoch` */
export function takeMessage(db: SqliteDatabase, input: TakeInput, describe: Describe<MessageRecord>): TakeOutcome {
  const { sessionId, id, epoch, now = Date.now() } = input
  requireEpoch(db, sessionId, epoch)
  const message = findMessage(db, sessionId, id)
  if (!message || !isUnfinished(message.status)) return { outcome: 'ended', status: message?.status ?? null }

  const isResend = message.status === 'sending'
  if (!isResend && message.expiresAt !== null && message.expiresAt <= now) {
    const expired = advanced(message, { to: 'expired', at: now })
    if (expired) {
      const { record, published } = saveChange(db, message, expired, describe)
      return { outcome: 'expired', message: record, published }
    }
  }
  if (hasOlder(db, message, now)) return { outcome: 'older_first' }

  const taken: MessageRecord = {
    ...message,
    status: 'sending',
    heldBy: null,
    heldUntil: null,
    attemptCount: message.attemptCount + 1,
    reachedAt: { ...message.reachedAt, sending: message.reachedAt.sending ?? now },
    updatedAt: Math.max(message.updatedAt, now),
  }
  const { record, published } = saveChange(db, message, taken, describe)
  return { outcome: 'taken', message: record, resend: isResend, published }
}

function hasOlder(db: SqliteDatabase, message: MessageRecord, now: number): boolean {
  const older = db
    .sql(
      `SELECT 1 FROM messages WHERE session_id = ? AND lane = ? AND sequence < ? AND status IN ('queued', 'sending')
       AND (held_until IS NULL OR held_until <= ? OR recipient = ?) LIMIT 1`,
    )
    .get(message.sessionId, laneNumber(message.priority), message.sequence, now, message.recipient)
  return older !== undefined
}
