// What pacing and forecasts ask of the queue: facts on one message, what is held back, and all that waits.
import type { HeldBy, PacingFacts, QueuedMessage, UnfinishedMessage } from '../message-store.ts'
import { isContact } from '../message-status.ts'
import { findContacts } from './contacts.ts'
import type { MongoDatabase } from './database.ts'
import { laneOf } from './message-doc.ts'
import type { MessageDoc } from './schemas.ts'

export async function pacingFacts(db: MongoDatabase, sessionId: string, id: string): Promise<PacingFacts | null> {
  const message = await db.models.messages
    .findOne({ _id: id, sessionId }, { status: 1, recipient: 1, lane: 1, sequence: 1, expiresAt: 1, heldUntil: 1 })
    .lean()
  if (!message) return null
  const { status, recipient, lane, sequence, expiresAt, heldUntil } = message
  const [before, contacts] = await Promise.all([
    db.models.messages
      .findOne(
        { sessionId, waiting: true, status: 'queued', lane, recipient, sequence: { $lt: sequence ?? 0 }, heldUntil: { $gt: 0 } },
        { heldBy: 1, heldUntil: 1 },
      )
      .sort({ sequence: -1 })
      .lean(),
    findContacts(db, sessionId, [recipient]),
  ])
  return {
    status,
    recipient,
    priority: laneOf(lane),
    expiresAt,
    heldUntil,
    heldBefore: before ? { heldBy: before.heldBy as HeldBy, heldUntil: before.heldUntil as number } : null,
    contact: contacts.get(recipient) ?? null,
  }
}

const fields = { sequence: 1, lane: 1, status: 1, recipient: 1, heldUntil: 1 } as const

export async function listHeld(db: MongoDatabase, sessionId: string, after: number, limit: number): Promise<UnfinishedMessage[]> {
  const found = await db.models.messages
    .find({ sessionId, waiting: true, status: 'queued', heldUntil: { $gt: Math.max(after, 0) } }, fields)
    .sort({ heldUntil: 1 })
    .limit(limit)
    .lean()
  return found.map(toUnfinished)
}

export async function listQueue(db: MongoDatabase, sessionId: string, limit: number): Promise<QueuedMessage[]> {
  const found = await db.models.messages
    .find({ sessionId, unfinished: true }, { ...fields, heldBy: 1 })
    .sort({ lane: 1, sequence: 1 })
    .limit(limit)
    .lean()
  const contacts = await findContacts(
    db,
    sessionId,
    found.map(({ recipient }) => recipient),
  )
  return found.map((doc) => {
    const { firstOutboundAt = null, firstInboundAt = null } = contacts.get(doc.recipient) ?? {}
    const isUnheard = isContact(doc.recipient) && firstInboundAt === null
    return { ...toUnfinished(doc), heldBy: doc.heldBy, isNewContact: isUnheard && firstOutboundAt === null, isUnheard }
  })
}

export function toUnfinished(
  doc: Pick<MessageDoc, '_id' | 'sequence' | 'lane' | 'status' | 'recipient' | 'heldUntil'>,
): UnfinishedMessage {
  return {
    id: doc._id,
    sequence: doc.sequence ?? 0,
    priority: laneOf(doc.lane),
    status: doc.status as UnfinishedMessage['status'],
    recipient: doc.recipient,
    heldUntil: doc.heldUntil,
  }
}
