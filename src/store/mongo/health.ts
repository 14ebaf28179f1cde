// Health samples in MongoDB.
import type { HealthSample, HealthStore } from '../health-store.ts'
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
  }
}

function toSample({ sessionId, at, score, level, reasons, signals, actions }: HealthSample): HealthSample {
  return { sessionId, at, score, level, reasons, signals, actions }
}
