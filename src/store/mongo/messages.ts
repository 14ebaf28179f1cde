// Messages in MongoDB.
import type { ClientSession } from 'mongoose'
import type { Describe, Outcome } from '../event-store.ts'
import { advanced } from '../message-status.ts'
import type { MessageRecord, MessageStore, StatusChange } from '../message-store.ts'
import { acceptMessage, storeInbound } from './accept-message.ts'
import { forgetContacts, newContacts } from './contacts.ts'
import type { MongoDatabase } from './database.ts'
import type { EventPlaces } from './event-places.ts'
import {
  findByWhatsappId,
  listDeepestQueues,
  listById,
  listMessages,
  listScheduled,
  listSessionsWithStale,
  listUnfinished,
  positionOf,
  queueState,
} from './list-messages.ts'
import { findMessage, saveChange, saveChanges, toMessage, toPlace } from './message-doc.ts'
import { listHeld, listQueue, pacingFacts } from './queued-messages.ts'
import { passFence } from './session-doc.ts'
import { takeMessage } from './take-message.ts'

export function createMessages(db: MongoDatabase, places: EventPlaces): MessageStore {
  const { messages, counters } = db.models
  const change = async <T>(sessionId: string, work: (session: ClientSession) => Promise<T>): Promise<T> => {
    const outcome = await db.transact(sessionId, work)
    places.soon()
    return outcome
  }
  const step = async (
    session: ClientSession,
    message: MessageRecord | null,
    to: StatusChange,
    describe: Describe<MessageRecord>,
  ): Promise<Outcome<MessageRecord> | null> => {
    const after = message && advanced(message, to)
    return after && saveChange(db, session, message, after, describe)
  }
  /** Those for which it is a step forward, in the order given and in a few statements. */
  const stepAll = async (
    session: ClientSession,
    sessionId: string,
    ids: readonly string[],
    to: StatusChange,
    describe: Describe<MessageRecord>,
  ): Promise<Outcome<MessageRecord>[]> => {
    const found = await messages.find({ _id: { $in: ids }, sessionId }, null, { session }).lean()
    const byId = new Map(found.map((doc) => [doc._id, toMessage(doc)]))
    const changes = ids.flatMap((id) => {
      const before = byId.get(id)
      const after = before && advanced(before, to)
      return after ? [{ before, after }] : []
    })
    if (to.to === 'queued') await number(session, sessionId, changes)
    return saveChanges(db, session, sessionId, changes, describe)
  }
  const number = async (session: ClientSession, sessionId: string, changes: { after: MessageRecord }[]) => {
    const raised = { $inc: { messageSequence: changes.length } }
    const counter = await counters.findOneAndUpdate({ _id: sessionId }, raised, { session, returnDocument: 'after' }).lean()
    const first = counter ? counter.messageSequence - changes.length + 1 : null
    for (const [i, change] of changes.entries()) change.after = { ...change.after, sequence: first === null ? null : first + i }
  }

  return {
    accept: (input, describe) => change(input.message.sessionId, (session) => acceptMessage(db, session, input, describe)),

    take: (input, describe) => change(input.sessionId, (session) => takeMessage(db, session, input, describe)),

    advance: (sessionId, id, to, describe) =>
      change(sessionId, async (session) => step(session, await findMessage(db, sessionId, id, session), to, describe)),

    advanceByWhatsappId: (sessionId, whatsappIds, to, describe) =>
      change(sessionId, async (session) => {
        const outcomes: Outcome<MessageRecord>[] = []
        for (const whatsappId of new Set(whatsappIds)) {
          const found = await messages.findOne({ sessionId, whatsappId, direction: 'outbound' }, null, { session }).lean()
          const outcome = await step(session, found && toMessage(found), to, describe)
          if (outcome) outcomes.push(outcome)
        }
        return outcomes
      }),

    hold: ({ sessionId, id, epoch, heldBy, heldUntil }) =>
      db.transact(sessionId, async (session) => {
        await passFence(db, session, sessionId, epoch)
        const held = { heldBy, heldUntil, updatedAt: Date.now() }
        const { matchedCount } = await messages.updateOne({ _id: id, sessionId, status: 'queued' }, { $set: held }, { session })
        return matchedCount === 1
      }),

    releaseHeld: ({ sessionId, epoch, at }) =>
      db.transact(sessionId, async (session) => {
        await passFence(db, session, sessionId, epoch)
        const held = { sessionId, waiting: true as const, status: 'queued' as const, heldUntil: { $gt: at } }
        return (await messages.updateMany(held, { $set: { heldUntil: at } }, { session })).modifiedCount
      }),

    pacingFacts: (sessionId, id) => db.read(() => pacingFacts(db, sessionId, id)),
    listHeld: (sessionId, after, limit) => db.read(() => listHeld(db, sessionId, after, limit)),
    newContacts: (sessionId, since, now) => db.read(() => newContacts(db, sessionId, since, now)),
    forgetContacts: (sessionId, epoch) => forgetContacts(db, sessionId, epoch),
    listQueue: (sessionId, limit) => db.read(() => listQueue(db, sessionId, limit)),

    cancel: (sessionId, id, at, describe) =>
      change(sessionId, async (session) => {
        const message = await findMessage(db, sessionId, id, session)
        if (!message) return null
        return (await step(session, message, { to: 'canceled', at }, describe)) ?? 'too_late'
      }),

    listDue: (now, limit) =>
      db.read(async () => {
        const isWorthIt = { $or: [{ expiresAt: null }, { expiresAt: { $gt: now } }] }
        const found = await messages
          .find({ status: 'scheduled', sendAt: { $lte: now }, ...isWorthIt }, { sessionId: 1 })
          .sort({ sendAt: 1, _id: 1 })
          .limit(limit)
          .lean()
        return found.map(toPlace)
      }),

    listExpired: (now, limit) =>
      db.read(async () => {
        const found = await messages
          .find({ waiting: true, expiresAt: { $lte: now } }, { sessionId: 1 })
          .sort({ expiresAt: 1 })
          .limit(limit)
          .lean()
        return found.map(toPlace)
      }),

    promote: (sessionId, ids, at, describe) =>
      change(sessionId, (session) => stepAll(session, sessionId, ids, { to: 'queued', at }, describe)),

    expire: (sessionId, ids, at, describe) =>
      change(sessionId, (session) => stepAll(session, sessionId, ids, { to: 'expired', at }, describe)),

    failUnfinished: async ({ sessionId, epoch, error, at, limit }, describe) => {
      // In this order: what becomes due between the two is found by the second.
      const found = await db.read(async () =>
        messages.find({ sessionId, status: 'scheduled' }, { _id: 1 }).sort({ createdAt: 1, _id: 1 }).limit(limit).lean(),
      )
      if (found.length < limit) {
        const unfinished = messages.find({ sessionId, unfinished: true }, { _id: 1 }).sort({ lane: 1, sequence: 1 })
        found.push(...(await db.read(async () => unfinished.limit(limit - found.length).lean())))
      }
      if (found.length === 0) return { failed: [], isEmpty: true }
      const ids = found.map(({ _id }) => _id)
      const failed = await change(sessionId, async (session) => {
        await passFence(db, session, sessionId, epoch)
        return stepAll(session, sessionId, ids, { to: 'failed', at, error }, describe)
      })
      return { failed, isEmpty: false }
    },

    listUnfinished: (sessionId, query) => db.read(() => listUnfinished(db, sessionId, query)),
    listSessionsWithStale: (before, limit, afterSessionId = '') =>
      db.read(() => listSessionsWithStale(db, before, limit, afterSessionId)),
    listDeepestQueues: (limit) => db.read(() => listDeepestQueues(db, limit)),
    storeInbound: (message, describe) => change(message.sessionId, (session) => storeInbound(db, session, message, describe)),
    get: (sessionId, id) => db.read(() => findMessage(db, sessionId, id)),
    findByWhatsappId: (sessionId, whatsappId) => db.read(() => findByWhatsappId(db, sessionId, whatsappId)),
    list: (query) => db.read(() => listMessages(db, query)),
    listById: (sessionId, ids) => db.read(() => listById(db, sessionId, ids)),
    listScheduled: (sessionId, limit) => db.read(() => listScheduled(db, sessionId, limit)),
    queueState: (sessionId) => db.read(() => queueState(db, sessionId)),
    position: (sessionId, id) => db.read(() => positionOf(db, sessionId, id)),
  }
}
