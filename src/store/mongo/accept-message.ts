// Accepting a message in MongoDB: idempotency key, depth, sequence, message and events in one transaction.
import type { ClientSession } from 'mongoose'
import type { Describe, Outcome } from '../event-store.ts'
import type { AcceptOutcome, Lane, MessageRecord, MessageStore } from '../message-store.ts'
import { recordHeardFrom, underNumber } from './contacts.ts'
import type { MongoDatabase } from './database.ts'
import { countersOf, toMessage, toMessageDoc } from './message-doc.ts'
import { publish } from './outbox.ts'
import type { CountersDoc } from './schemas.ts'

type AcceptInput = Parameters<MessageStore['accept']>[0]

export async function acceptMessage(
  db: MongoDatabase,
  session: ClientSession,
  input: AcceptInput,
  describe: Describe<MessageRecord>,
): Promise<AcceptOutcome> {
  const { idempotency, maxQueueDepth, now } = input
  const { sessionId } = input.message
  if (!(await db.models.sessions.exists({ _id: sessionId, deletedAt: null }).session(session))) return { outcome: 'no_session' }
  if (idempotency) {
    const earlier = await earlierAnswer(db, session, sessionId, idempotency, now)
    if (earlier) return earlier
  }
  const counters = await db.models.counters.findById(sessionId, null, { session }).lean()
  if (!counters) return { outcome: 'no_session' }
  const isScheduled = input.message.status === 'scheduled'
  const depth = isScheduled ? counters.scheduled : counters.depth
  if (depth >= maxQueueDepth) return { outcome: 'queue_full', depth }

  // Whoever raises the counter at the same moment conflicts with the update in `publish`: what was read here still holds there.
  const addressed = await underNumber(db, session, input.message)
  const message = { ...addressed, sequence: isScheduled ? null : counters.messageSequence + 1 }
  await db.models.messages.insertMany([{ ...toMessageDoc(message), ...(idempotency ? { idempotency } : {}) }], { session })
  const published = await publish(db, session, sessionId, describe(message), {
    ...countersOf(null, message),
    messageSequence: isScheduled ? 0 : 1,
  })
  return { outcome: 'accepted', message, position: isScheduled ? null : depthBefore(counters, message.priority), published }
}

/** How many stand before the end of this lane. */
function depthBefore({ depth, depthHigh = 0, depthBulk = 0 }: CountersDoc, lane: Lane): number {
  if (lane === 'high') return depthHigh
  return lane === 'bulk' ? depth : depth - depthBulk
}

async function earlierAnswer(
  db: MongoDatabase,
  session: ClientSession,
  sessionId: string,
  { key, bodyHash }: NonNullable<AcceptInput['idempotency']>,
  now: number,
): Promise<AcceptOutcome | null> {
  const earlier = await db.models.messages.findOne({ sessionId, 'idempotency.key': key }, null, { session }).lean()
  if (!earlier?.idempotency) return null
  if (earlier.idempotency.expiresAt <= now) {
    await db.models.messages.updateOne({ _id: earlier._id }, { $unset: { idempotency: 1 } }, { session })
    return null
  }
  if (earlier.idempotency.bodyHash !== bodyHash) return { outcome: 'key_reused' }
  return { outcome: 'replayed', message: toMessage(earlier) }
}

/** Null when it is there already, or its session is gone. */
export async function storeInbound(
  db: MongoDatabase,
  session: ClientSession,
  message: MessageRecord,
  describe: Describe<MessageRecord>,
): Promise<Outcome<MessageRecord> | null> {
  const { sessionId, whatsappId, recipient, participant } = message
  const same = { sessionId, whatsappId, recipient, participant, direction: 'inbound' as const }
  if (await db.models.messages.exists(same).session(session)) return null
  if (!(await db.models.counters.exists({ _id: sessionId }).session(session))) return null
  await db.models.messages.insertMany([toMessageDoc(message)], { session })
  await recordHeardFrom(db, session, message, message.reachedAt.received ?? message.createdAt)
  return { record: message, published: await publish(db, session, sessionId, describe(message)) }
}
