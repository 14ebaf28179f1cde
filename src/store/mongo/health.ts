// Health samples in MongoDB.
import type { PipelineStage } from 'mongoose'
import { inboundEventTypes, type EventType } from '../event-store.ts'
import type { FleetHealth, HealthSample, HealthStore, SessionWork } from '../health-store.ts'
import { lanes } from '../message-store.ts'
import type { MongoDatabase } from './database.ts'
import type { MessageDoc } from './schemas.ts'

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
          .sort({ at: -1 })
          .limit(limit)
          .lean()
        return found.map(toSample).toReversed()
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
        const times = await workTimes(
          db,
          counters.filter(({ depth }) => depth > 0).map(({ _id }) => _id),
          now,
        )
        const none = { oldestQueuedAt: null, readySince: null, sendingSince: null }
        return new Map(
          counters.map(({ _id, eventSequence, depth }) => [
            _id,
            { revision: eventSequence, depth, ...(times.get(_id) ?? none) } satisfies SessionWork,
          ]),
        )
      }),

    traffic: (sessionId, after, until) =>
      db.read(async () => {
        const count = (types: readonly EventType[]) =>
          db.models.events.countDocuments({ sessionId, sequence: { $gt: after, $lte: until }, type: { $in: types } })
        const [sentCount, receivedCount] = await Promise.all([count(['message.sent']), count(inboundEventTypes)])
        return { sentCount, receivedCount }
      }),

    overview: (now, limit) => db.read(() => overviewOf(db, now, limit)),

    sent: (sessionId, after, until, limit) =>
      db.read(async () => {
        const found = await db.models.events
          .find({ sessionId, sequence: { $gt: after, $lte: until }, type: 'message.sent' }, { 'data.message.id': 1 })
          .sort({ sequence: -1 })
          .limit(limit)
          .lean<{ data: { message: { id: string } } }[]>()
        return found.map(({ data }) => data.message.id)
      }),

    acked: (sessionId, ids) =>
      db.read(async () => {
        const found = await db.models.messages
          .find({ _id: { $in: ids }, sessionId }, { status: 1, recipient: 1, reachedAt: 1 })
          .lean()
        const byId = new Map(found.map((doc) => [doc._id, doc]))
        return ids.flatMap((id) => {
          const doc = byId.get(id)
          if (!doc) return []
          const { status, recipient, reachedAt } = doc
          const { sent: sentAt, sending: sendingAt = sentAt } = reachedAt
          if (sentAt === undefined || sendingAt === undefined) return []
          return [{ id, recipient, sendingAt, sentAt, isDelivered: status !== 'sent' }]
        })
      }),
  }
}

async function overviewOf(db: MongoDatabase, now: number, limit: number): Promise<FleetHealth> {
  const { sessions, messages, counters } = db.models
  const isOff = { claimable: false, statusReason: 'requested' }
  const scored = { deletedAt: null, health: { $ne: null }, $nor: [isOff] }
  const [levels, sickest, connected, scheduled, unfinished] = await Promise.all([
    sessions.aggregate<{ _id: string; count: number }>([
      { $match: scored },
      { $group: { _id: '$health.level', count: { $sum: 1 } } },
    ]),
    sessions
      .find({ ...scored, 'health.score': { $lt: 100 } }, { health: 1 })
      .sort({ 'health.score': 1, _id: 1 })
      .limit(limit)
      .lean(),
    sessions.find({ status: 'connected', deletedAt: null }, { _id: 1 }).lean(),
    counters.aggregate<{ scheduled: number }>([{ $group: { _id: null, scheduled: { $sum: '$scheduled' } } }]),
    messages.aggregate<{ _id: { sessionId: string; status: 'queued' | 'sending' }; count: number; readyAt: number | null }>([
      // An index is used only with a bound on its first field.
      { $match: { sessionId: { $gt: '' }, unfinished: true } },
      {
        $group: {
          _id: { sessionId: '$sessionId', status: '$status' },
          count: { $sum: 1 },
          readyAt: { $min: { $cond: [{ $lte: [{ $ifNull: ['$heldUntil', 0] }, now] }, '$updatedAt', null] } },
        },
      },
    ]),
  ])
  const count = (status: 'queued' | 'sending') =>
    unfinished.filter(({ _id }) => _id.status === status).reduce((sum, group) => sum + group.count, 0)
  const isConnected = new Set(connected.map(({ _id }) => _id))
  return {
    levels: Object.fromEntries(levels.map((group) => [group._id, group.count])),
    sickest: sickest.map(({ _id, health }) => ({ sessionId: _id, score: health?.score ?? 0 })),
    unfinished: { scheduled: scheduled[0]?.scheduled ?? 0, queued: count('queued'), sending: count('sending') },
    oldestReadyAt: earliest(unfinished.map(({ _id, readyAt }) => (isConnected.has(_id.sessionId) ? readyAt : null))),
  }
}

type Head = Pick<MessageDoc, 'createdAt' | 'reachedAt'>
type WorkTimes = Omit<SessionWork, 'revision' | 'depth'>

/** Of all sessions in one question: the server looks up the heads of each one's lanes, however long they are. */
async function workTimes(db: MongoDatabase, sessionIds: readonly string[], now: number): Promise<Map<string, WorkTimes>> {
  if (sessionIds.length === 0) return new Map()
  const { counters, messages } = db.models
  const first = (as: string, limit: number, wanted: Record<string, unknown>): PipelineStage => ({
    $lookup: {
      from: messages.collection.name,
      let: { id: '$_id' },
      pipeline: [
        { $match: { $expr: { $eq: ['$sessionId', '$$id'] }, ...wanted } },
        { $sort: { sequence: 1 } },
        { $limit: limit },
        { $project: { _id: 0, createdAt: 1, reachedAt: 1 } },
      ],
      as,
    },
  })
  const notHeld = { $or: [{ heldUntil: null }, { heldUntil: { $lte: now } }] }
  const found = await counters.aggregate<{ _id: string } & Record<string, Head[]>>([
    { $match: { _id: { $in: [...sessionIds] } } },
    { $project: { _id: 1 } },
    ...lanes.flatMap((lane, i) => [
      first(`queued-${lane}`, 1, { unfinished: true, lane: i + 1 }),
      first(`ready-${lane}`, 1, { unfinished: true, lane: i + 1, ...notHeld }),
    ]),
    first('sending', 3, { status: 'sending' }),
  ])
  return new Map(
    found.map((heads) => {
      const queuedAt = (part: string) =>
        earliest(
          lanes.map((lane) => heads[`${part}-${lane}`]?.[0]).map((head) => head?.reachedAt.queued ?? head?.createdAt ?? null),
        )
      return [
        heads._id,
        {
          oldestQueuedAt: queuedAt('queued'),
          readySince: queuedAt('ready'),
          sendingSince: earliest((heads['sending'] ?? []).map(({ reachedAt }) => reachedAt.sending ?? null)),
        },
      ]
    }),
  )
}

function earliest(times: (number | null)[]): number | null {
  const known = times.filter((time) => time !== null)
  return known.length > 0 ? Math.min(...known) : null
}

function toSample({ sessionId, at, score, level, reasons, signals, actions }: HealthSample): HealthSample {
  return { sessionId, at, score, level, reasons, signals, actions }
}
