// Retention in MongoDB: one bounded step over everything that grows.
import type { RetentionPolicy } from '../store.ts'
import type { MongoDatabase } from './database.ts'
import { sweptId } from './event-log.ts'

export async function sweep(
  db: MongoDatabase,
  policy: RetentionPolicy,
  now: number,
  limit: number,
): Promise<{ removed: number }> {
  const { messages, deliveries, events, replays, healthSamples } = db.models
  const kept = ['scheduled', 'queued', 'sending']
  const old = [
    { model: messages, filter: { updatedAt: { $lt: now - policy.messagesMs }, status: { $nin: kept } } },
    { model: deliveries, filter: { updatedAt: { $lt: now - policy.deliveriesMs } } },
    { model: events, filter: { at: { $lt: now - policy.eventsMs } } },
    { model: healthSamples, filter: { at: { $lt: now - policy.healthSamplesMs } } },
    { model: replays, filter: { updatedAt: { $lt: now - policy.deliveriesMs }, status: { $ne: 'running' } } },
  ]
  let removed = 0
  for (const { model, filter } of old) {
    const removePage = async () => {
      const page = await model.collection
        .find(filter, { projection: { _id: 1, place: 1 } })
        .limit(limit - removed)
        .toArray()
      if (page.length === 0) return 0
      if (model === events) await noteSwept(db, page)
      // Asked again: a message may have moved on since.
      const { deletedCount } = await model.collection.deleteMany({ _id: { $in: page.map(({ _id }) => _id) }, ...filter })
      return deletedCount
    }
    removed += await db.write(removePage)
    if (removed >= limit) return { removed }
  }
  const expired = { 'idempotency.key': { $exists: true }, 'idempotency.expiresAt': { $lte: now } }
  removed += await db.write(async () => {
    const page = await messages
      .find(expired, { _id: 1 })
      .limit(limit - removed)
      .lean()
    if (page.length === 0) return 0
    const ids = page.map(({ _id }) => _id)
    return (await messages.updateMany({ _id: { $in: ids }, ...expired }, { $unset: { idempotency: 1 } })).modifiedCount
  })
  return { removed }
}

/** Before they go: a reader that is told of a gap too early reads on, one that is told too late has missed something. */
async function noteSwept(db: MongoDatabase, page: Record<string, unknown>[]): Promise<void> {
  const value = Math.max(...page.map(({ place }) => (typeof place === 'number' ? place : 0)))
  await db.models.meta.updateOne({ _id: sweptId }, { $max: { value } }, { upsert: true })
}
