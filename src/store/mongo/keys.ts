// API keys in MongoDB.
import { decodeCursor, toPage } from '../cursor.ts'
import type { KeyRecord, KeyStore } from '../key-store.ts'
import type { MongoDatabase } from './database.ts'

export function createKeys(db: MongoDatabase): KeyStore {
  const { keys, sessions } = db.models
  return {
    create: ({ id: _id, ...rest }) => db.write(async () => void (await keys.insertMany([{ _id, ...rest }]))),

    findByHash: (hash) =>
      db.read(async () => {
        const found = await keys.findOne({ hash }).lean()
        if (!found || !(await sessions.exists({ _id: found.sessionId, deletedAt: null }))) return null
        return toKey(found)
      }),

    list: ({ sessionId, limit, cursor }) =>
      db.read(async () => {
        const [createdAt, id] = cursor ? decodeCursor(cursor, ['number', 'key_']) : [Number.MAX_SAFE_INTEGER, '']
        const found = await keys
          .find({ sessionId, $or: [{ createdAt: { $lt: createdAt } }, { createdAt, _id: { $lt: id } }] })
          .sort({ createdAt: -1, _id: -1 })
          .limit(limit + 1)
          .lean()
        return toPage(found, limit, toKey, (doc) => [doc.createdAt, doc._id])
      }),

    rotate: (sessionId, id, next) =>
      db.write(async () => {
        const after = await keys.findOneAndUpdate({ _id: id, sessionId }, { $set: next }, { returnDocument: 'after' }).lean()
        return after && toKey(after)
      }),

    remove: (sessionId, id) => db.write(async () => (await keys.deleteOne({ _id: id, sessionId })).deletedCount === 1),
  }
}

function toKey({ _id: id, ...rest }: Omit<KeyRecord, 'id'> & { _id: string }): KeyRecord {
  return { id, ...rest }
}
