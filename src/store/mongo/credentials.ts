// Sealed WhatsApp credentials in MongoDB, every write fenced by the session's epoch in its own transaction.
import type { ClientSession } from 'mongoose'
import { AppError } from '../../platform/errors.ts'
import type { CredentialStore, WrappedDataKey } from '../credential-store.ts'
import type { MongoDatabase } from './database.ts'
import type { DataKeyDoc } from './schemas.ts'
import { passFence } from './session-doc.ts'

export function createCredentials(db: MongoDatabase): CredentialStore {
  const { credentials, dataKeys } = db.models
  return {
    readDataKey: (sessionId) =>
      db.read(async () => {
        const found = await dataKeys.findById(sessionId).lean()
        return found && toDataKey(found)
      }),

    read: (sessionId, type, ids) =>
      db.read(async () => {
        const wanted = new Map(ids.map((id) => [documentId(sessionId, type, id), id]))
        const found = await credentials.find({ _id: { $in: [...wanted.keys()] } }).lean()
        const values = new Map(found.map(({ _id, value }) => [_id, new Uint8Array(value)]))
        return new Map(
          [...wanted].flatMap(([documentId, id]) => {
            const value = values.get(documentId)
            return value ? [[id, value] as const] : []
          }),
        )
      }),

    write: (sessionId, epoch, entries, dataKey) =>
      db.transact(sessionId, async (session) => {
        await passFence(db, session, sessionId, epoch)
        if (dataKey) {
          const present = await dataKeys.findById(sessionId, null, { session }).lean()
          if (present && !sameKey(toDataKey(present), dataKey)) {
            throw new AppError('conflict', 'The session has another data key already.')
          }
          if (!present) await dataKeys.insertMany([toDoc(sessionId, dataKey)], { session })
        }
        if (entries.length === 0) return
        await credentials.bulkWrite(
          entries.map(({ type, id, value }) => {
            const filter = { _id: documentId(sessionId, type, id) }
            return value
              ? { updateOne: { filter, update: { $set: { sessionId, value: Buffer.from(value) } }, upsert: true } }
              : { deleteOne: { filter } }
          }),
          { session, ordered: true },
        )
      }),

    erase: (sessionId, epoch) =>
      db.transact(sessionId, async (session) => {
        await passFence(db, session, sessionId, epoch)
        await eraseCredentials(db, session, sessionId)
      }),

    listWrappedByOthers: (masterKeyId, limit, afterSessionId = '') =>
      db.read(async () => {
        const found = await dataKeys
          .find({ _id: { $gt: afterSessionId }, masterKeyId: { $ne: masterKeyId } })
          .sort({ _id: 1 })
          .limit(limit)
          .lean()
        return found.map((doc) => ({ sessionId: doc._id, dataKey: toDataKey(doc) }))
      }),

    rewrap: (sessionId, oldMasterKeyId, next) =>
      db.write(async () => {
        const { _id, ...change } = toDoc(sessionId, next)
        return (await dataKeys.updateOne({ _id, masterKeyId: oldMasterKeyId }, { $set: change })).matchedCount === 1
      }),
  }
}

/** Within a transaction that has passed the fence. */
export async function eraseCredentials(db: MongoDatabase, session: ClientSession, sessionId: string): Promise<void> {
  await db.models.credentials.deleteMany({ sessionId }, { session })
  await db.models.dataKeys.deleteOne({ _id: sessionId }, { session })
}

function documentId(sessionId: string, type: string, id: string): string {
  return `${sessionId}|${type}|${id}`
}

function toDoc(sessionId: string, { masterKeyId, wrapped }: WrappedDataKey): DataKeyDoc {
  return { _id: sessionId, masterKeyId, wrapped: Buffer.from(wrapped) }
}

function toDataKey({ masterKeyId, wrapped }: Omit<DataKeyDoc, '_id'>): WrappedDataKey {
  return { masterKeyId, wrapped: new Uint8Array(wrapped) }
}

function sameKey(a: WrappedDataKey, b: WrappedDataKey): boolean {
  return a.masterKeyId === b.masterKeyId && Buffer.compare(a.wrapped, b.wrapped) === 0
}
