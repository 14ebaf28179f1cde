// Webhook endpoints in MongoDB.
import { decodeCursor, toPage } from '../cursor.ts'
import { offReason, type EndpointRecord, type EndpointStore, type SealedFields } from '../event-store.ts'
import type { MongoDatabase } from './database.ts'
import type { EventPlaces } from './event-places.ts'
import { publish, publishOfGone } from './outbox.ts'
import type { EndpointDoc } from './schemas.ts'

export function createEndpoints(db: MongoDatabase, places: EventPlaces): EndpointStore {
  const { endpoints, deliveries, replays } = db.models
  return {
    create: (record) => db.write(async () => void (await endpoints.insertMany([toEndpointDoc(record)]))),

    get: (id) =>
      db.read(async () => {
        const found = await endpoints.findById(id).lean()
        return found && toEndpoint(found)
      }),

    list: ({ sessionId, limit, cursor }) =>
      db.read(async () => {
        const [createdAt, id] = cursor ? decodeCursor(cursor, ['number', 'whk_']) : [Number.MAX_SAFE_INTEGER, '']
        const found = await endpoints
          .find({
            ...(sessionId === undefined ? {} : { sessionId }),
            $or: [{ createdAt: { $lt: createdAt } }, { createdAt, _id: { $lt: id } }],
          })
          .sort({ createdAt: -1, _id: -1 })
          .limit(limit + 1)
          .lean()
        return toPage(found, limit, toEndpoint, (doc) => [doc.createdAt, doc._id])
      }),

    update: (id, changes, sealedSecret) =>
      db.write(async () => {
        const filter = { _id: id, ...(sealedSecret ? { sealedSecret: Buffer.from(sealedSecret) } : {}) }
        const $set = sealedAsBuffers(changes)
        const after =
          Object.keys($set).length === 0
            ? await endpoints.findOne(filter).lean()
            : await endpoints.findOneAndUpdate(filter, { $set }, { returnDocument: 'after' }).lean()
        return after && toEndpoint(after)
      }),

    reseal: (id, from, to) =>
      db.write(async () => {
        const filter = { _id: id, ...asBuffers(from) }
        const { modifiedCount } = await endpoints.updateOne(filter, { $set: asBuffers(to) })
        return modifiedCount === 1
      }),

    disable: async (id, { reason, at, sessionId }, describe) => {
      const outcome = await db.transact(id, async (session) => {
        const found = await endpoints
          .findOneAndUpdate(
            { _id: id, enabled: true },
            { $set: { enabled: false, disabledReason: reason, updatedAt: at } },
            { session, returnDocument: 'after' },
          )
          .lean()
        if (!found) return null
        const record = toEndpoint(found)
        const drafts = describe(record)
        const published = await publish(db, session, record.sessionId ?? sessionId, drafts)
        if (published.length > 0 || record.sessionId !== null) return { record, published }
        return { record, published: await publishOfGone(db, session, sessionId, drafts) }
      })
      places.soon()
      return outcome
    },

    countByState: () =>
      db.read(async () => {
        const [enabled, notEnabled, off] = await Promise.all([
          endpoints.countDocuments({ enabled: true }),
          endpoints.countDocuments({ enabled: false }),
          endpoints.countDocuments({ enabled: false, disabledReason: offReason }),
        ])
        return { enabled, disabled: Math.max(0, notEnabled - off), off }
      }),

    remove: (id) =>
      db.write(async () => {
        // No new deliveries from here on; those left by a crash in between end by themselves and are swept.
        const { deletedCount } = await endpoints.deleteOne({ _id: id })
        await deliveries.deleteMany({ endpointId: id })
        await replays.deleteMany({ endpointId: id })
        return deletedCount === 1
      }),
  }
}

export function toEndpointDoc({ id: _id, ...rest }: EndpointRecord): EndpointDoc {
  return { _id, ...rest, ...asBuffers(rest) }
}

function asBuffers({ sealedHeaders, sealedSecret, sealedPreviousSecret }: SealedFields) {
  return {
    sealedHeaders: sealedHeaders && Buffer.from(sealedHeaders),
    sealedSecret: Buffer.from(sealedSecret),
    sealedPreviousSecret: sealedPreviousSecret && Buffer.from(sealedPreviousSecret),
  }
}

function sealedAsBuffers(changes: Parameters<EndpointStore['update']>[1]): Partial<EndpointDoc> {
  return Object.fromEntries(
    Object.entries(changes).map(([name, value]) => [name, value instanceof Uint8Array ? Buffer.from(value) : value]),
  )
}

function toEndpoint({ _id: id, ...rest }: EndpointDoc): EndpointRecord {
  const { sealedHeaders, sealedSecret, sealedPreviousSecret } = rest
  return {
    id,
    ...rest,
    failedAt: rest.failedAt ?? null, // those of an older schema have none
    sealedHeaders: sealedHeaders && new Uint8Array(sealedHeaders),
    sealedSecret: new Uint8Array(sealedSecret),
    sealedPreviousSecret: sealedPreviousSecret && new Uint8Array(sealedPreviousSecret),
  }
}
