// Webhook deliveries in MongoDB.
import { decodeCursor, toPage } from '../cursor.ts'
import { attemptsKept, type DeliveryRecord, type DeliveryStatus, type DeliveryStore } from '../event-store.ts'
import type { MongoDatabase } from './database.ts'
import { newDelivery } from './outbox.ts'
import type { DeliveryDoc } from './schemas.ts'

/** So many due ones are read to see whose they are. */
const fewDue = 500

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
          const unknown = {
            _id: deliveryId,
            attempts: { $not: { $elemMatch: { at: attempt.at, durationMs: attempt.durationMs } } },
          }
          const isOpen = status === 'pending' || status === 'failed'
          return [
            { updateOne: { filter: { ...unknown, open: { $ne: true as const } }, update: noted } },
            {
              updateOne: {
                filter: { ...unknown, open: true as const },
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

    listDueEndpoints: ({ now, after = '', limit }) =>
      db.read(async () => {
        const due = { open: true as const, nextAttemptAt: { $lte: now } }
        const few = await deliveries.find(due, { endpointId: 1 }).sort({ nextAttemptAt: 1 }).limit(fewDue).lean()
        if (few.length < fewDue) {
          const ids = new Set(few.map(({ endpointId }) => endpointId))
          return [...ids]
            .filter((id) => id > after)
            .toSorted()
            .slice(0, limit)
        }
        // Many wait: the first of each endpoint, one after the other, whose search skips what waits for those before.
        const found: string[] = []
        for (let last = after; found.length < limit;) {
          const next = await deliveries
            .findOne({ ...due, endpointId: { $gt: last } }, { endpointId: 1 })
            .sort({ endpointId: 1, nextAttemptAt: 1 })
            .lean()
          if (!next) break
          last = next.endpointId
          found.push(last)
        }
        return found
      }),

    listDue: (endpointId, now, limit) =>
      db.read(async () => {
        const found = await deliveries
          .find({ endpointId, open: true, nextAttemptAt: { $lte: now } })
          .sort({ nextAttemptAt: 1, _id: 1 })
          .limit(limit)
          .lean()
        return found.map(toDelivery)
      }),

    postpone: (postponements) =>
      db.write(async () => {
        const writes = postponements.map(({ deliveryId, attemptCount, nextAttemptAt }) => ({
          updateOne: { filter: { _id: deliveryId, open: true as const, attemptCount }, update: { $set: { nextAttemptAt } } },
        }))
        if (writes.length > 0) await deliveries.bulkWrite(writes, { ordered: false })
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
        const count = (status: DeliveryStatus) => deliveries.countDocuments({ ...(endpointId ? { endpointId } : {}), status })
        const [pending, failed, dead] = await Promise.all([count('pending'), count('failed'), count('dead')])
        // Nearly all of them have succeeded: of the fleet's these are not counted, what MongoDB notes of the collection says how many there are.
        const succeeded = endpointId
          ? await count('succeeded')
          : Math.max(0, (await deliveries.estimatedDocumentCount()) - pending - failed - dead)
        return { pending, succeeded, failed, dead }
      }),
  }
}

export function toDelivery(doc: DeliveryDoc): DeliveryRecord {
  const { _id: id, open: _, ...rest } = doc
  return { id, ...rest, replayId: rest.replayId ?? null } // those of an older schema have none
}
