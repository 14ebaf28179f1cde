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
import { findMessage, saveChange, toMessage } from './message-doc.ts'
import { listHeld, listQueue, pacingFacts } from './queued-messages.ts'
import type { MessageDoc } from './schemas.ts'
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
    more: (after: MessageRecord) => Promise<MessageRecord> = (after) => Promise.resolve(after),
  ): Promise<Outcome<MessageRecord> | null> => {
    const after = message && advanced(message, to)
    return after && saveChange(db, session, message, await more(after), describe)
  }
  /** Each in a transaction of its own: they belong to different sessions, and none waits for all. */
  const stepEach = async (
    found: MessageDoc[],
    to: StatusChange,
    describe: Describe<MessageRecord>,
    more?: (session: ClientSession) => (after: MessageRecord) => Promise<MessageRecord>,
  ): Promise<Outcome<MessageRecord>[]> => {
    const outcomes: Outcome<MessageRecord>[] = []
    for (const { _id, sessionId } of found) {
      const outcome = await change(sessionId, async (session) =>
        step(session, await findMessage(db, sessionId, _id, session), to, describe, more?.(session)),
      )
      if (outcome) outcomes.push(outcome)
    }
    return outcomes
  }
  const numbered = (session: ClientSession) => async (after: MessageRecord) => {
    const counter = await counters
      .findOneAndUpdate({ _id: after.sessionId }, { $inc: { messageSequence: 1 } }, { session, returnDocument: 'after' })
      .lean()
    return { ...after, sequence: counter?.messageSequence ?? null }
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

    promoteDue: async (now, limit, describe) => {
      const found = await db.read(async () =>
        messages
          .find({ status: 'scheduled', sendAt: { $lte: now } })
          .sort({ sendAt: 1, _id: 1 })
          .limit(limit)
          .lean(),
      )
      return stepEach(found, { to: 'queued', at: now }, describe, numbered)
    },

    expireDue: async (now, limit, describe) => {
      const found = await db.read(async () =>
        messages
          .find({ waiting: true, expiresAt: { $lte: now } })
          .sort({ expiresAt: 1 })
          .limit(limit)
          .lean(),
      )
      return stepEach(found, { to: 'expired', at: now }, describe)
    },

    failUnfinished: async ({ sessionId, epoch, error, at, limit }, describe) => {
      // In this order: what becomes due between the two is found by the second.
      const found = await db.read(async () =>
        messages.find({ sessionId, status: 'scheduled' }).sort({ createdAt: 1, _id: 1 }).limit(limit).lean(),
      )
      if (found.length < limit) {
        const unfinished = messages.find({ sessionId, unfinished: true }).sort({ lane: 1, sequence: 1 })
        found.push(...(await db.read(async () => unfinished.limit(limit - found.length).lean())))
      }
      const fenced = (session: ClientSession) => async (after: MessageRecord) => {
        await passFence(db, session, sessionId, epoch)
        return after
      }
      return { failed: await stepEach(found, { to: 'failed', at, error }, describe, fenced), isEmpty: found.length === 0 }
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
