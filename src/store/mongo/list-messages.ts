// Reading messages in MongoDB: lists, queue state, position.
import { decodeCursor, toPage } from '../cursor.ts'
import type { MessageRecord, MessageStore, UnfinishedMessage } from '../message-store.ts'
import { findNumber } from './contacts.ts'
import type { MongoDatabase } from './database.ts'
import { findMessage, laneNumber, toMessage } from './message-doc.ts'
import { toUnfinished } from './queued-messages.ts'

export async function listMessages(db: MongoDatabase, query: Parameters<MessageStore['list']>[0]) {
  const { sessionId, status, recipient, since = 0, direction, limit, cursor } = query
  const [createdAt, id] = cursor ? decodeCursor(cursor, ['number', 'msg_']) : [Number.MAX_SAFE_INTEGER, '']
  // What was written to a LID before its number was known stands under the LID, what came later under the number.
  const number = sessionId === undefined || recipient === undefined ? null : await findNumber(db, sessionId, recipient)
  const chat = number === null ? recipient : { $in: [recipient, number] }
  const equal = Object.fromEntries(
    Object.entries({ sessionId, status, recipient: chat, direction }).filter(([, value]) => value !== undefined),
  )
  const found = await db.models.messages
    .find({
      ...equal,
      createdAt: { $gte: since, $lte: createdAt },
      $or: [{ createdAt: { $lt: createdAt } }, { createdAt, _id: { $lt: id } }],
    })
    .sort({ createdAt: -1, _id: -1 })
    .limit(limit + 1)
    .lean()
  return toPage(found, limit, toMessage, (doc) => [doc.createdAt, doc._id])
}

export async function listById(db: MongoDatabase, sessionId: string, ids: readonly string[]): Promise<MessageRecord[]> {
  const found = await db.models.messages.find({ _id: { $in: [...ids] }, sessionId }).lean()
  return found.map(toMessage)
}

export async function listScheduled(db: MongoDatabase, sessionId: string, limit: number): Promise<MessageRecord[]> {
  const found = await db.models.messages.find({ sessionId, status: 'scheduled' }).sort({ sendAt: 1, _id: 1 }).limit(limit).lean()
  return found.map(toMessage)
}

export async function listUnfinished(
  db: MongoDatabase,
  sessionId: string,
  { priority, limit }: Parameters<MessageStore['listUnfinished']>[1],
): Promise<UnfinishedMessage[]> {
  const found = await db.models.messages
    .find({ sessionId, unfinished: true, ...(priority ? { lane: laneNumber(priority) } : {}) })
    .select({ sequence: 1, lane: 1, status: 1, recipient: 1, heldUntil: 1 })
    .sort({ sequence: 1 })
    .limit(limit)
    .lean()
  return found.map(toUnfinished)
}

/** Jumps from session to session by the index of unfinished messages. */
export async function listSessionsWithStale(
  db: MongoDatabase,
  before: number,
  limit: number,
  afterSessionId: string,
): Promise<string[]> {
  const found: string[] = []
  for (let last = afterSessionId; found.length < limit;) {
    const next = await db.models.messages
      .findOne({ unfinished: true, sessionId: { $gt: last } }, { sessionId: 1 })
      .sort({ sessionId: 1 })
      .lean()
    if (!next) break
    last = next.sessionId
    const stale = { unfinished: true as const, sessionId: last, updatedAt: { $lt: before } }
    const notHeldBeyond = { $or: [{ heldUntil: null }, { heldUntil: { $lte: before } }] }
    if (await db.models.messages.exists({ ...stale, ...notHeldBeyond })) found.push(last)
  }
  return found
}

export async function listDeepestQueues(db: MongoDatabase, limit: number): Promise<string[]> {
  const found = await db.models.counters
    .find({ depth: { $gt: 0 } }, { _id: 1 })
    .sort({ depth: -1, _id: 1 })
    .limit(limit)
    .lean()
  return found.map(({ _id }) => _id)
}

export async function queueState(db: MongoDatabase, sessionId: string) {
  const counters = await db.models.counters.findById(sessionId).lean()
  const times: number[] = []
  for (const lane of [1, 2, 3]) {
    const head = await db.models.messages
      .findOne({ sessionId, unfinished: true, lane }, { reachedAt: 1, createdAt: 1 })
      .sort({ sequence: 1 })
      .lean()
    if (head) times.push(head.reachedAt.queued ?? head.createdAt)
  }
  return {
    depth: counters?.depth ?? 0,
    scheduled: counters?.scheduled ?? 0,
    oldestQueuedAt: times.length > 0 ? Math.min(...times) : null,
  }
}

export async function positionOf(db: MongoDatabase, sessionId: string, id: string): Promise<number | null> {
  const message = await findMessage(db, sessionId, id)
  if (message?.status !== 'queued') return null
  const lane = laneNumber(message.priority)
  return db.models.messages.countDocuments({
    sessionId,
    unfinished: true,
    $or: [{ lane: { $lt: lane } }, { lane, sequence: { $lt: message.sequence ?? 0 } }],
  })
}

export async function findByWhatsappId(db: MongoDatabase, sessionId: string, whatsappId: string): Promise<MessageRecord | null> {
  // 'outbound' sorts after 'inbound': our own message first.
  const found = await db.models.messages.findOne({ sessionId, whatsappId }).sort({ direction: -1 }).lean()
  return found && toMessage(found)
}
