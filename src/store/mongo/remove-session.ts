// The last step of a deletion in MongoDB: everything of a session but what it told, the session itself last, so that a crash leaves it claimable.
import type { MongoDatabase } from './database.ts'
import { passFence } from './session-doc.ts'

const pageSize = 500

/** @throws AppError `stale_epoch` */
export async function removeSession(db: MongoDatabase, sessionId: string, epoch: number): Promise<void> {
  const { sessions, counters, keys, credentials, dataKeys, contacts, messages, endpoints, deliveries, replays, healthSamples } =
    db.models
  // Credentials go first of all: if the rest takes long, nobody can use them any more.
  await db.transact(sessionId, async (session) => {
    await passFence(db, session, sessionId, epoch)
    await dataKeys.deleteOne({ _id: sessionId }, { session })
    await keys.deleteMany({ sessionId }, { session })
  })
  const own = await db.read(async () => endpoints.find({ sessionId }, { _id: 1 }).lean())
  // Events and the deliveries of fleet-wide endpoints stay until retention sweeps them: their readers may not have had them yet.
  const many = [
    { model: credentials, filter: { sessionId } },
    { model: messages, filter: { sessionId } },
    { model: contacts, filter: { sessionId } },
    { model: deliveries, filter: { endpointId: { $in: own.map(({ _id }) => _id) } } },
    { model: replays, filter: { endpointId: { $in: own.map(({ _id }) => _id) } } },
    { model: healthSamples, filter: { sessionId } },
  ]
  for (const { model, filter } of many) {
    const removePage = async () => {
      const page = await model.collection
        .find(filter, { projection: { _id: 1 } })
        .limit(pageSize)
        .toArray()
      if (page.length > 0) await model.collection.deleteMany({ _id: { $in: page.map(({ _id }) => _id) } })
      return page.length
    }
    while ((await db.write(removePage)) === pageSize);
  }
  await db.transact(sessionId, async (session) => {
    await passFence(db, session, sessionId, epoch)
    for (const { model, filter } of many) await model.collection.deleteMany(filter, { session })
    await endpoints.deleteMany({ sessionId }, { session })
    await counters.deleteOne({ _id: sessionId }, { session })
    await sessions.deleteOne({ _id: sessionId }, { session })
  })
}
