// Replays in MongoDB.
import { decodeCursor, toPage } from '../cursor.ts'
import type { ReplayRecord, ReplayStore } from '../replay-store.ts'
import type { MongoDatabase } from './database.ts'
import { toDelivery } from './deliveries.ts'
import { isDuplicate } from './mongo-error.ts'
import { newDelivery } from './outbox.ts'
import type { ReplayDoc } from './schemas.ts'

export function createReplays(db: MongoDatabase): ReplayStore {
  const { replays, deliveries } = db.models
  return {
    create: ({ id: _id, ...rest }) =>
      db.write(async () => {
        try {
          await replays.insertMany([{ _id, ...rest, ...(rest.status === 'running' ? { running: true } : {}) }])
          return true
        } catch (error) {
          if (isDuplicate(error)) return false
          throw error
        }
      }),

    list: ({ endpointId, limit, cursor }) =>
      db.read(async () => {
        const [before] = cursor ? decodeCursor(cursor, ['rpl_']) : [undefined]
        const found = await replays
          .find({ endpointId, ...(before ? { _id: { $lt: before } } : {}) })
          .sort({ _id: -1 })
          .limit(limit + 1)
          .lean()
        return toPage(found, limit, toReplay, (doc) => [doc._id])
      }),

    listRunning: ({ after = '', limit }) =>
      db.read(async () => {
        const found = await replays
          .find({ running: true, _id: { $gt: after } })
          .sort({ _id: 1 })
          .limit(limit)
          .lean()
        return found.map(toReplay)
      }),

    advance: (replay, next, made) =>
      db.transact(replay.id, async (session) => {
        const { place, status, at } = next
        const { matchedCount } = await replays.updateOne(
          { _id: replay.id, running: true, place: replay.place },
          {
            $set: { place, status, updatedAt: at },
            $inc: { deliveryCount: made.length },
            ...(status === 'running' ? {} : { $unset: { running: 1 } }),
          },
          { session },
        )
        if (matchedCount === 0) return null
        const docs = made.map((delivery) => newDelivery(delivery, at, replay.id))
        if (docs.length > 0) await deliveries.insertMany(docs, { session })
        return docs.map(toDelivery)
      }),

    stop: (endpointId, id, at) =>
      db.write(async () => {
        await replays.updateOne(
          { _id: id, endpointId, running: true },
          { $set: { status: 'stopped', updatedAt: at }, $unset: { running: 1 } },
        )
        const found = await replays.findOne({ _id: id, endpointId }).lean()
        return found && toReplay(found)
      }),

    countWaiting: (id) => db.read(async () => deliveries.countDocuments({ replayId: id, status: 'pending' })),
  }
}

function toReplay(doc: ReplayDoc): ReplayRecord {
  const { _id: id, running: _, ...rest } = doc
  return { id, ...rest }
}
