// Who a session has written to and heard from, in MongoDB: what makes a contact new.
import type { ClientSession } from 'mongoose'
import { isContact } from '../message-status.ts'
import type { ContactFacts, MessageRecord, NewContacts } from '../message-store.ts'
import type { MongoDatabase } from './database.ts'
import { passFence } from './session-doc.ts'

const pageSize = 500
const idOf = (sessionId: string, recipient: string) => `${sessionId} ${recipient}`

/** The first time counts. */
export async function recordWrittenTo(
  db: MongoDatabase,
  session: ClientSession,
  { sessionId, recipient }: MessageRecord,
  at: number,
): Promise<void> {
  if (!isContact(recipient)) return
  const known = await db.models.contacts.findById(idOf(sessionId, recipient), { firstOutboundAt: 1 }, { session }).lean()
  if (known?.firstOutboundAt != null) return
  await db.models.contacts.updateOne(
    { _id: idOf(sessionId, recipient) },
    { $set: { firstOutboundAt: at }, $setOnInsert: { sessionId, firstInboundAt: null, lastInboundAt: null } },
    { session, upsert: true },
  )
}

/** Under both addresses where both are known, so that it is one contact however it is written to. */
export async function recordHeardFrom(
  db: MongoDatabase,
  session: ClientSession,
  { sessionId, recipient, address }: MessageRecord,
  at: number,
): Promise<void> {
  if (!isContact(recipient)) return
  for (const each of new Set(address.lid === null ? [recipient] : [recipient, address.lid])) {
    const known = await db.models.contacts.findById(idOf(sessionId, each), null, { session }).lean()
    const lastInboundAt = Math.max(known?.lastInboundAt ?? 0, at)
    await db.models.contacts.updateOne(
      { _id: idOf(sessionId, each) },
      {
        $set: { firstInboundAt: known?.firstInboundAt ?? at, lastInboundAt },
        $setOnInsert: { sessionId, firstOutboundAt: null },
      },
      { session, upsert: true },
    )
  }
}

/** What waited because they were a stranger waits no longer. */
export async function releaseAnswered(
  db: MongoDatabase,
  session: ClientSession,
  { sessionId, recipient, address }: MessageRecord,
  at: number,
): Promise<void> {
  const recipients = address.lid === null ? [recipient] : [recipient, address.lid]
  const held = { waiting: true as const, status: 'queued' as const, heldUntil: { $gt: at } }
  await db.models.messages.updateMany(
    {
      sessionId,
      lane: { $in: [1, 2, 3] },
      recipient: { $in: recipients },
      ...held,
      heldBy: { $in: ['new_contacts', 'restriction'] },
    },
    { $set: { heldUntil: at } },
    { session },
  )
}

export async function findContacts(
  db: MongoDatabase,
  sessionId: string,
  recipients: readonly string[],
): Promise<Map<string, ContactFacts>> {
  const ids = [...new Set(recipients)].map((recipient) => idOf(sessionId, recipient))
  const found = await db.models.contacts.find({ _id: { $in: ids } }).lean()
  return new Map(
    found.map(({ _id, firstOutboundAt, firstInboundAt, lastInboundAt }) => [
      _id.slice(sessionId.length + 1),
      { firstOutboundAt, firstInboundAt, lastInboundAt },
    ]),
  )
}

export async function newContacts(db: MongoDatabase, sessionId: string, since: number, now: number): Promise<NewContacts> {
  const writtenTo = { sessionId, firstOutboundAt: { $gte: since } }
  const count = await db.models.contacts.countDocuments({
    ...writtenTo,
    $or: [{ firstInboundAt: null }, { $expr: { $gt: ['$firstInboundAt', '$firstOutboundAt'] } }],
  })
  const first = await db.models.contacts
    .findOne({ sessionId, firstOutboundAt: { $gte: 0 } }, { firstOutboundAt: 1 })
    .sort({ firstOutboundAt: 1 })
    .lean()
  const held = await db.models.messages.aggregate<{ _id: number; count: number }>([
    { $match: { sessionId, waiting: true, status: 'queued', heldUntil: { $gt: now }, heldBy: 'new_contacts' } },
    { $group: { _id: '$heldUntil', count: { $sum: 1 } } },
  ])
  return {
    count,
    firstAt: first?.firstOutboundAt ?? null,
    held: held.map(({ _id, count: each }) => ({ heldUntil: _id, count: each })),
  }
}

/** A page at a time, each a short transaction, so that others write in between. */
export async function forgetContacts(db: MongoDatabase, sessionId: string, epoch: number): Promise<void> {
  const { contacts } = db.models
  const removePage = async (session: ClientSession) => {
    await passFence(db, session, sessionId, epoch)
    const page = await contacts.find({ sessionId }, { _id: 1 }, { session }).limit(pageSize).lean()
    await contacts.deleteMany({ _id: { $in: page.map(({ _id }) => _id) } }, { session })
    return page.length
  }
  while ((await db.transact(sessionId, removePage)) === pageSize);
}
