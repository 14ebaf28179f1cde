// Messages as documents of MongoDB and back, and the one way a change of a message is written.
import type { ClientSession } from 'mongoose'
import type { Describe, Outcome } from '../event-store.ts'
import { isUnfinished, opensGap, reachesContact } from '../message-status.ts'
import { lanes, type Lane, type MessagePlace, type MessageRecord, type MessageStatus } from '../message-store.ts'
import { recordWrittenTo } from './contacts.ts'
import type { MongoDatabase } from './database.ts'
import { publish, type CounterChange } from './outbox.ts'
import type { MessageDoc } from './schemas.ts'

/** Lanes as numbers sort by precedence. */
export function laneNumber(lane: Lane): number {
  return lanes.indexOf(lane) + 1
}

export function laneOf(number: number): Lane {
  return lanes[number - 1] ?? 'normal'
}

export function toMessage(doc: MessageDoc): MessageRecord {
  const { _id: id, lane, unfinished: _, waiting: __, idempotency: ___, ...rest } = doc
  return { id, ...rest, priority: laneOf(lane) }
}

export function toMessageDoc(message: MessageRecord): MessageDoc {
  const { id: _id, priority, ...rest } = message
  return { _id, ...rest, lane: laneNumber(priority), ...flagsOf(message.status).set }
}

/** What partial indexes go by is there only while it is true. */
function flagsOf(status: MessageStatus) {
  const unfinished = isUnfinished(status)
  const waiting = status === 'queued' || status === 'scheduled'
  return {
    set: { ...(unfinished ? { unfinished: true as const } : {}), ...(waiting ? { waiting: true as const } : {}) },
    unset: { ...(unfinished ? {} : { unfinished: 1 as const }), ...(waiting ? {} : { waiting: 1 as const }) },
  }
}

export function toPlace({ _id: id, sessionId }: Pick<MessageDoc, '_id' | 'sessionId'>): MessagePlace {
  return { id, sessionId }
}

export async function findMessage(
  db: MongoDatabase,
  sessionId: string,
  id: string,
  session: ClientSession | null = null,
): Promise<MessageRecord | null> {
  const found = await db.models.messages.findOne({ _id: id, sessionId }, null, { session }).lean()
  return found && toMessage(found)
}

/** How the counters of a session follow a message's step; `before` is null for a new one. */
export function countersOf(before: MessageStatus | null, { status: after, priority }: MessageRecord): CounterChange {
  const unfinishedBefore = before !== null && isUnfinished(before)
  const depth = Number(isUnfinished(after)) - Number(unfinishedBefore)
  return {
    depth,
    ...(depth !== 0 && priority === 'high' ? { depthHigh: depth } : {}),
    ...(depth !== 0 && priority === 'bulk' ? { depthBulk: depth } : {}),
    scheduled: Number(after === 'scheduled') - Number(before === 'scheduled'),
  }
}

/** Writes what may change on a message, its session's counters, and the events of the change. */
export async function saveChange(
  db: MongoDatabase,
  session: ClientSession,
  before: MessageRecord,
  after: MessageRecord,
  describe: Describe<MessageRecord>,
): Promise<Outcome<MessageRecord>> {
  await db.models.messages.updateOne({ _id: after.id }, updateOf(after), { session })
  const published = await publish(db, session, after.sessionId, describe(after), countersOf(before.status, after))
  await recordReached(db, session, before, after)
  return { record: after, published }
}

/** The same for many messages of one session, in a few statements; their events are in the order given. */
export async function saveChanges(
  db: MongoDatabase,
  session: ClientSession,
  sessionId: string,
  changes: readonly { before: MessageRecord; after: MessageRecord }[],
  describe: Describe<MessageRecord>,
): Promise<Outcome<MessageRecord>[]> {
  if (changes.length === 0) return []
  const updates = changes.map(({ after }) => ({ updateOne: { filter: { _id: after.id }, update: updateOf(after) } }))
  await db.models.messages.bulkWrite(updates, { session })
  const drafts = changes.map(({ after }) => describe(after))
  const sum: Required<Omit<CounterChange, 'messageSequence'>> = { depth: 0, depthHigh: 0, depthBulk: 0, scheduled: 0 }
  for (const { before, after } of changes) {
    const { depth = 0, depthHigh = 0, depthBulk = 0, scheduled = 0 } = countersOf(before.status, after)
    sum.depth += depth
    sum.depthHigh += depthHigh
    sum.depthBulk += depthBulk
    sum.scheduled += scheduled
  }
  const published = await publish(db, session, sessionId, drafts.flat(), sum)
  for (const { before, after } of changes) await recordReached(db, session, before, after)
  let told = 0
  return changes.map(({ after }, i) => {
    const from = told
    told += drafts[i]?.length ?? 0
    return { record: after, published: published.slice(from, told) }
  })
}

function updateOf(after: MessageRecord) {
  const { status, sequence, heldBy, heldUntil, attemptCount, updatedAt, reachedAt, error, address } = after
  const { set, unset } = flagsOf(status)
  return {
    $set: { status, sequence, heldBy, heldUntil, attemptCount, updatedAt, reachedAt, error, address, ...set },
    $unset: unset,
  }
}

async function recordReached(
  db: MongoDatabase,
  session: ClientSession,
  before: MessageRecord,
  after: MessageRecord,
): Promise<void> {
  if (reachesContact(before, after)) await recordWrittenTo(db, session, after, after.reachedAt.sending ?? after.updatedAt)
  if (opensGap(before, after)) await releaseBehind(db, session, after)
}

/** Each of its lane and recipient is looked at anew. */
async function releaseBehind(
  db: MongoDatabase,
  session: ClientSession,
  { sessionId, priority, recipient, sequence, updatedAt }: MessageRecord,
): Promise<void> {
  const line = { sessionId, lane: laneNumber(priority), recipient, sequence: { $gt: sequence ?? 0 } }
  await db.models.messages.updateMany(
    { ...line, waiting: true, status: 'queued', heldUntil: { $gt: updatedAt } },
    { $set: { heldUntil: updatedAt } },
    { session },
  )
}
