// Health samples in MongoDB.
import type { EventType } from '../event-store.ts'
import type { HealthSample, HealthStore, SessionWork } from '../health-store.ts'
import type { MongoDatabase } from './database.ts'

export function createHealth(db: MongoDatabase): HealthStore {
  const { healthSamples, sessions } = db.models
  return {
    append: (samples) =>
      db.write(async () => {
        // A sample of a session that was removed meanwhile would stay for nobody.
        const ids = [...new Set(samples.map(({ sessionId }) => sessionId))]
        const alive = new Set((await sessions.find({ _id: { $in: ids } }, { _id: 1 }).lean()).map(({ _id }) => _id))
        const kept = samples.filter(({ sessionId }) => alive.has(sessionId))
        if (kept.length > 0) await healthSamples.insertMany(kept)
      }),

    latest: (sessionId) =>
      db.read(async () => {
        const found = await healthSamples.findOne({ sessionId }, { _id: 0 }).sort({ at: -1 }).lean()
        return found && toSample(found)
      }),

    list: (sessionId, since, limit) =>
      db.read(async () => {
        const found = await healthSamples
          .find({ sessionId, at: { $gte: since } }, { _id: 0 })
          .sort({ at: 1 })
          .limit(limit)
          .lean()
        return found.map(toSample)
      }),

    merge: (sessionId, merges) =>
      db.write(async () => {
        const writes = merges.flatMap(({ into: { at, score, level, reasons, signals, actions }, from }) => [
          { updateOne: { filter: { sessionId, at }, update: { $set: { score, level, reasons, signals, actions } } } },
          { deleteMany: { filter: { sessionId, at: { $in: from.filter((other) => other !== at) } } } },
        ])
        if (writes.length > 0) await healthSamples.bulkWrite(writes)
      }),

    work: (sessionIds, now) =>
      db.read(async () => {
        const counters = await db.models.counters.find({ _id: { $in: sessionIds } }, { eventSequence: 1, depth: 1 }).lean()
        const entries = counters.map(async ({ _id, eventSequence, depth }): Promise<[string, SessionWork]> => {
          const times = depth > 0 ? await workTimes(db, _id, now) : { oldestQueuedAt: null, readySince: null, sendingSince: null }
          return [_id, { revision: eventSequence, depth, ...times }]
        })
        return new Map(await Promise.all(entries))
      }),

    traffic: (sessionId, after, until) =>
      db.read(async () => {
        const count = (type: EventType) =>
          db.models.events.countDocuments({ sessionId, sequence: { $gt: after, $lte: until }, type })
        const [sentCount, receivedCount] = await Promise.all([count('message.sent'), count('message.received')])
        return { sentCount, receivedCount }
      }),

    acked: (sessionId, limit) =>
      db.read(async () => {
        const found = await db.models.messages
          .find({ sessionId, status: { $in: ['sent', 'delivered', 'read', 'played'] } }, { status: 1, recipient: 1, reachedAt: 1 })
          .sort({ createdAt: -1, _id: -1 })
          .limit(limit)
          .lean()
        return found.flatMap(({ status, recipient, reachedAt: { sending, sent } }) =>
          sent === undefined ? [] : [{ recipient, sendingAt: sending ?? sent, sentAt: sent, isDelivered: status !== 'sent' }],
        )
      }),
  }
}

async function workTimes(db: MongoDatabase, sessionId: string, now: number): Promise<Omit<SessionWork, 'revision' | 'depth'>> {
  const { messages } = db.models
  const notHeld = { $or: [{ heldUntil: null }, { heldUntil: { $lte: now } }] }
  const lanes = [1, 2, 3].flatMap((lane) => [{ lane }, { lane, ...notHeld }])
  const queued = await Promise.all(
    lanes.map((more) =>
      messages
        .findOne({ sessionId, unfinished: true, ...more }, { reachedAt: 1, createdAt: 1 })
        .sort({ sequence: 1 })
        .lean(),
    ),
  )
  const sending = await messages.find({ sessionId, status: 'sending' }, { reachedAt: 1 }).limit(3).lean()
  const times = queued.map((doc) => (doc ? (doc.reachedAt.queued ?? doc.createdAt) : null))
  return {
    oldestQueuedAt: earliest(times.filter((_, i) => i % 2 === 0)),
    readySince: earliest(times.filter((_, i) => i % 2 === 1)),
    sendingSince: earliest(sending.map(({ reachedAt }) => reachedAt.sending ?? null)),
  }
}

function earliest(times: (number | null)[]): number | null {
  const known = times.filter((time) => time !== null)
  return known.length > 0 ? Math.min(...known) : null
}

function toSample({ sessionId, at, score, level, reasons, signals, actions }: HealthSample): HealthSample {
  return { sessionId, at, score, level, reasons, signals, actions }
}
