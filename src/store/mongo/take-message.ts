// Taking a message for sending in MongoDB: the one place where the order of a lane is decided.
import type { ClientSession } from 'mongoose'
import type { Describe } from '../event-store.ts'
import { advanced, isUnfinished } from '../message-status.ts'
import type { MessageRecord, MessageStore, TakeOutcome } from '../message-store.ts'
import type { MongoDatabase } from './database.ts'
import { findMessage, laneNumber, saveChange } from './message-doc.ts'
import { passFence } from './session-doc.ts'

type TakeInput = Parameters<MessageStore['take']>[0]

/** @throws AppError `stale_epoch` */
export async function takeMessage(
  db: MongoDatabase,
  session: ClientSession,
  input: TakeInput,
  describe: Describe<MessageRecord>,
): Promise<TakeOutcome> {
  const { sessionId, id, epoch, now = Date.now() } = input
  await passFence(db, session, sessionId, epoch)
  const message = await findMessage(db, sessionId, id, session)
  if (!message || !isUnfinished(message.status)) return { outcome: 'ended', status: message?.status ?? null }

  const isResend = message.status === 'sending'
  if (!isResend && message.expiresAt !== null && message.expiresAt <= now) {
    const expired = advanced(message, { to: 'expired', at: now })
    if (expired) {
      const { record, published } = await saveChange(db, session, message, expired, describe)
      return { outcome: 'expired', message: record, published }
    }
  }
  if (await hasOlder(db, session, message, now)) return { outcome: 'older_first' }

  const taken: MessageRecord = {
    ...message,
    status: 'sending',
    heldBy: null,
    heldUntil: null,
    attemptCount: message.attemptCount + 1,
    reachedAt: { ...message.reachedAt, sending: message.reachedAt.sending ?? now },
    updatedAt: Math.max(message.updatedAt, now),
  }
  const { record, published } = await saveChange(db, session, message, taken, describe)
  return { outcome: 'taken', message: record, resend: isResend, published }
}

async function hasOlder(db: MongoDatabase, session: ClientSession, message: MessageRecord, now: number): Promise<boolean> {
  const older = await db.models.messages
    .exists({
      sessionId: message.sessionId,
      unfinished: true,
      lane: laneNumber(message.priority),
      sequence: { $lt: message.sequence ?? 0 },
      $or: [{ heldUntil: null }, { heldUntil: { $lte: now } }, { recipient: message.recipient }],
    })
    .session(session)
  return older !== null
}
