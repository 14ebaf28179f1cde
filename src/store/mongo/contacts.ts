// Who a session has written to and heard from, in MongoDB: what makes a contact new.
import type { ClientSession } from 'mongoose'
import { addressedTo, digitsOf, holdsEndedBy, isContact, isLid } from '../message-status.ts'
import type { ContactFacts, HeldBy, MessageRecord, NewContacts } from '../message-store.ts'
import type { MongoDatabase } from './database.ts'
import { passFence } from './session-doc.ts'

const pageSize = 500
const idOf = (sessionId: string, recipient: string): string => `${sessionId} ${recipient}`

const nothing: ContactFacts = { firstOutboundAt: null, firstInboundAt: null, lastInboundAt: null }

/** The first time counts; what waited because they were a stranger waits no longer. */
export async function recordWrittenTo(
  db: MongoDatabase,
  session: ClientSession,
  message: MessageRecord,
  at: number,
): Promise<void> {
  if (!isContact(message.recipient)) return
  const { sessionId } = message
  const { recipient, known } = await contactOf(db, session, message)
  if (known?.firstOutboundAt != null) return
  await db.models.contacts.updateOne(
    { _id: idOf(sessionId, recipient) },
    { $set: { firstOutboundAt: at }, $setOnInsert: { sessionId, firstInboundAt: null, lastInboundAt: null } },
    { session, upsert: true },
  )
  await release(db, session, { sessionId, recipient, at: message.updatedAt, heldBy: ['new_contacts'] })
}

/** Nobody who wrote is a stranger any more. */
export async function recordHeardFrom(
  db: MongoDatabase,
  session: ClientSession,
  message: MessageRecord,
  at: number,
): Promise<void> {
  if (!isContact(message.recipient)) return
  const { sessionId } = message
  const { recipient, known } = await contactOf(db, session, message)
  const heard = { firstInboundAt: known?.firstInboundAt ?? at, lastInboundAt: Math.max(known?.lastInboundAt ?? 0, at) }
  await db.models.contacts.updateOne(
    { _id: idOf(sessionId, recipient) },
    { $set: heard, $setOnInsert: { sessionId, firstOutboundAt: null } },
    { session, upsert: true },
  )
  await release(db, session, { sessionId, recipient, at: message.createdAt, heldBy: ['new_contacts', 'restriction'] })
}

/** A message to a LID whose number is known goes to the number. */
export async function underNumber(db: MongoDatabase, session: ClientSession, message: MessageRecord): Promise<MessageRecord> {
  const knownAs = await findNumber(db, message.sessionId, message.recipient, session)
  return knownAs === null ? message : addressedTo(message, knownAs)
}

/** The number's recipient; null unless it is a LID whose number is known. */
export async function findNumber(
  db: MongoDatabase,
  sessionId: string,
  recipient: string,
  session: ClientSession | null = null,
): Promise<string | null> {
  if (!isLid(recipient)) return null
  const found = await db.models.contacts.findById(idOf(sessionId, recipient), { knownAs: 1 }, { session }).lean()
  return found?.knownAs ?? null
}

/** The person, and what is known of them. */
async function contactOf(
  db: MongoDatabase,
  session: ClientSession,
  message: MessageRecord,
): Promise<{ recipient: string; known: ContactFacts | null }> {
  const { lid } = message.address
  if (lid !== null && !isLid(message.recipient)) return learnLid(db, session, message, lid)
  const { sessionId, recipient } = await underNumber(db, session, message)
  return { recipient, known: await db.models.contacts.findById(idOf(sessionId, recipient), null, { session }).lean() }
}

/**
 * Number and LID are one person: what is known of both stands under the number from now on, and what waits for either stands in one line, where
 * nobody is a stranger who is none under the other.
 */
async function learnLid(
  db: MongoDatabase,
  session: ClientSession,
  { sessionId, recipient, updatedAt }: MessageRecord,
  lid: string,
): Promise<{ recipient: string; known: ContactFacts | null }> {
  const { contacts, messages } = db.models
  const [ofLid, ofNumber] = [idOf(sessionId, lid), idOf(sessionId, recipient)]
  const found = await contacts.find({ _id: { $in: [ofLid, ofNumber] } }, null, { session }).lean()
  const former = found.find(({ _id }) => _id === ofLid)
  const known = found.find(({ _id }) => _id === ofNumber) ?? null
  if (former?.knownAs === recipient) return { recipient, known }
  await contacts.updateOne(
    { _id: ofLid },
    { $set: { ...nothing, knownAs: recipient }, $setOnInsert: { sessionId } },
    { session, upsert: true },
  )
  const both = former ? merged(known ?? nothing, former) : known
  if (former) {
    await contacts.updateOne({ _id: ofNumber }, { $set: { ...both }, $setOnInsert: { sessionId } }, { session, upsert: true })
  }
  await messages.updateMany(
    { sessionId, recipient: lid, waiting: true },
    { $set: { recipient, 'address.phoneNumber': digitsOf(recipient) } },
    { session },
  )
  await release(db, session, { sessionId, recipient, at: updatedAt, heldBy: holdsEndedBy(both) })
  return { recipient, known: both }
}

function merged(a: ContactFacts, b: ContactFacts): ContactFacts {
  const times = (field: keyof ContactFacts) => [a[field], b[field]].filter((at) => at !== null)
  const [outbound, inbound, last] = [times('firstOutboundAt'), times('firstInboundAt'), times('lastInboundAt')]
  return {
    firstOutboundAt: outbound.length > 0 ? Math.min(...outbound) : null,
    firstInboundAt: inbound.length > 0 ? Math.min(...inbound) : null,
    lastInboundAt: last.length > 0 ? Math.max(...last) : null,
  }
}

async function release(
  db: MongoDatabase,
  session: ClientSession,
  { sessionId, recipient, at, heldBy }: { sessionId: string; recipient: string; at: number; heldBy: HeldBy[] },
): Promise<void> {
  if (heldBy.length === 0) return
  const held = { waiting: true as const, status: 'queued' as const, heldUntil: { $gt: at } }
  await db.models.messages.updateMany(
    { sessionId, lane: { $in: [1, 2, 3] }, recipient, ...held, heldBy: { $in: heldBy } },
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
