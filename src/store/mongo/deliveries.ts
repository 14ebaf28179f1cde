// Webhook deliveries in MongoDB.
import { decodeCursor, toPage } from '../cursor.ts'
import { attemptsKept, type DeliveryRecord, type DeliveryStatus, type DeliveryStore } from '../event-store.ts'
import type { MongoDatabase } from './database.ts'
import { newDelivery } from './outbox.ts'
import type { DeliveryDoc } from './schemas.ts'

export function createDeliveries(db: MongoDatabase): DeliveryStore {
  const { deliveries } = db.models
  return {
    get: (id) =>
      db.read(async () => {
        const found = await deliveries.findById(id).lean()
        return found && toDelivery(found)
      }),

    list: ({ endpointId, status, limit, cursor }) =>
      db.read(async () => {
        const [before] = cursor ? decodeCursor(cursor, ['string']) : [undefined]
        const found = await deliveries
          .find({ endpointId, ...(status ? { status } : {}), ...(before ? { _id: { $lt: before } } : {}) })
          .sort({ _id: -1 })
          .limit(limit + 1)
          .lean()
        return toPage(found, limit, toDelivery, (doc) => [doc._id])
      }),

    recordAttempts: (records) =>
      db.write(async () => {
        // In this order, so that one which is closed by the second write is not counted by the first.
        const writes = records.flatMap(({ deliveryId, attempt, next }) => {
          const noted = {
            $inc: { attemptCount: 1 },
            $push: { attempts: { $each: [attempt], $slice: -attemptsKept } },
            $max: { updatedAt: attempt.at },
          }
          const { status, nextAttemptAt } = next
          const $set = { status, nextAttemptAt, deadReason: status === 'dead' ? (next.deadReason ?? null) : null }
          const isOpen = status === 'pending' || status === 'failed'
          return [
            { updateOne: { filter: { _id: deliveryId, open: { $ne: true as const } }, update: noted } },
            {
              updateOne: {
                filter: { _id: deliveryId, open: true as const },
                update: { ...noted, $set, ...(isOpen ? {} : { $unset: { open: 1 as const } }) },
              },
            },
          ]
        })
        if (writes.length > 0) await deliveries.bulkWrite(writes, { ordered: true })
      }),

    bury: (ids, deadReason, at) =>
      db.write(async () => {
        const dead = { status: 'dead' as const, deadReason, nextAttemptAt: null, updatedAt: at }
        await deliveries.updateMany({ _id: { $in: ids }, open: true }, { $set: dead, $unset: { open: 1 } })
      }),

    listDue: (now, limit) =>
      db.read(async () => {
        const found = await deliveries
          .find({ open: true, nextAttemptAt: { $lte: now } })
          .sort({ nextAttemptAt: 1 })
          .limit(limit)
          .lean()
        return found.map(toDelivery)
      }),

    postpone: (ids, nextAttemptAt) =>
      db.write(async () => {
        await deliveries.updateMany({ _id: { $in: ids }, open: true }, { $max: { nextAttemptAt } })
      }),

    create: (records) =>
      db.write(async () => {
        const at = Date.now()
        const made = records.map((record) => newDelivery(record, at))
        if (made.length > 0) await deliveries.insertMany(made)
        return made.map(toDelivery)
      }),

    countByStatus: (endpointId) =>
      db.read(async () => {
        const counts: Record<DeliveryStatus, number> = { pending: 0, succeeded: 0, failed: 0, dead: 0 }
        const groups = await deliveries.aggregate<{ _id: DeliveryStatus; count: number }>([
          { $match: endpointId ? { endpointId } : {} },
          { $group: { _id: '$status', count: { $sum: 1 } } },
        ])
        for (const { _id, count } of groups) counts[_id] = count
        return counts
      }),
  }
}

export function toDelivery(doc: DeliveryDoc): DeliveryRecord {
  const { _id: id, open: _, ...rest } = doc
  return { id, ...rest, replayId: rest.replayId ?? null } // those of an older schema have none
}
