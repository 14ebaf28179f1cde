// Sessions in MongoDB.
import type { ClientSession } from 'mongoose'
import { decodeCursor, toPage } from '../cursor.ts'
import type { Describe, Outcome } from '../event-store.ts'
import {
  sessionStatuses,
  type HolderChanges,
  type SessionRecord,
  type SessionStatus,
  type SessionStore,
} from '../session-store.ts'
import { eraseCredentials } from './credentials.ts'
import type { MongoDatabase } from './database.ts'
import { toEndpointDoc } from './endpoints.ts'
import type { EventPlaces } from './event-places.ts'
import { publish } from './outbox.ts'
import { removeSession } from './remove-session.ts'
import { passFence, toSession, toSessionDoc } from './session-doc.ts'

export function createSessions(db: MongoDatabase, places: EventPlaces): SessionStore {
  const { sessions, counters, keys, endpoints } = db.models
  const find = async (id: string, session: ClientSession): Promise<SessionRecord | null> => {
    const found = await sessions.findOne({ _id: id, deletedAt: null }, null, { session }).lean()
    return found && toSession(found)
  }
  const save = async (
    after: SessionRecord,
    changes: Partial<SessionRecord>,
    describe: Describe<SessionRecord>,
    session: ClientSession,
  ): Promise<Outcome<SessionRecord>> => {
    await sessions.updateOne({ _id: after.id }, { $set: changes }, { session })
    return { record: after, published: await publish(db, session, after.id, describe(after)) }
  }
  const told = async <T>(change: Promise<T>): Promise<T> => {
    const outcome = await change
    places.soon()
    return outcome
  }

  return {
    create: ({ session, key, endpoint }, describe) =>
      told(
        db.transact(session.id, async (tx) => {
          await sessions.insertMany([toSessionDoc(session)], { session: tx })
          await counters.insertMany(
            [{ _id: session.id, messageSequence: 0, eventSequence: 0, depth: 0, scheduled: 0, lastEventAt: 0 }],
            { session: tx },
          )
          const { id: _id, ...rest } = key
          await keys.insertMany([{ _id, ...rest }], { session: tx })
          if (endpoint) await endpoints.insertMany([toEndpointDoc(endpoint)], { session: tx })
          return { record: session, published: await publish(db, tx, session.id, describe(session)) }
        }),
      ),

    get: (id) =>
      db.read(async () => {
        const found = await sessions.findById(id).lean()
        return found && toSession(found)
      }),

    list: ({ limit, cursor, status, search }) =>
      db.read(async () => {
        const [createdAt, id] = cursor ? decodeCursor(cursor, ['number', 'ses_']) : [Number.MAX_SAFE_INTEGER, '']
        const pattern = { $regex: RegExp.escape(search ?? ''), $options: 'i' }
        const found = await sessions
          .find({
            deletedAt: null,
            ...(status ? { status } : {}),
            $and: [
              { $or: [{ createdAt: { $lt: createdAt } }, { createdAt, _id: { $lt: id } }] },
              ...(search ? [{ $or: [{ displayName: pattern }, { phoneNumber: pattern }, { _id: search }] }] : []),
            ],
          })
          .sort({ createdAt: -1, _id: -1 })
          .limit(limit + 1)
          .lean()
        return toPage(found, limit, toSession, (doc) => [doc.createdAt, doc._id])
      }),

    edit: (id, { settings = {}, ...changes }) =>
      db.write(async () => {
        const each = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`settings.${name}`, value]))
        const after = await sessions
          .findOneAndUpdate(
            { _id: id, deletedAt: null },
            { $set: { ...changes, ...each, updatedAt: Date.now() } },
            { returnDocument: 'after' },
          )
          .lean()
        return after && toSession(after)
      }),

    request: (id, intent, at) =>
      db.transact(id, async (tx) => {
        const after = await sessions
          .findOneAndUpdate(
            { _id: id, deletedAt: null },
            {
              $set: { intent, claimable: true, updatedAt: at, ...(intent === 'delete' ? { deletedAt: at } : {}) },
              $inc: { intentRevision: 1 },
            },
            { session: tx, returnDocument: 'after' },
          )
          .lean()
        if (after && intent === 'delete') await keys.deleteMany({ sessionId: id }, { session: tx })
        return after && toSession(after)
      }),

    listClaimable: ({ afterId = '', limit }) =>
      db.read(async () => {
        const found = await sessions
          .find({ claimable: true, _id: { $gt: afterId } }, { epoch: 1, intent: 1, status: 1, lastEventAt: 1 })
          .sort({ _id: 1 })
          .limit(limit)
          .lean()
        return found.map(({ _id: id, epoch, intent, status, lastEventAt }) => ({ id, epoch, intent, status, lastEventAt }))
      }),

    countByStatus: () =>
      db.read(async () => {
        const counts = Object.fromEntries(sessionStatuses.map((status) => [status, 0])) as Record<SessionStatus, number>
        const groups = await sessions.aggregate<{ _id: SessionStatus; count: number }>([
          { $match: { deletedAt: null } },
          { $group: { _id: '$status', count: { $sum: 1 } } },
        ])
        for (const { _id, count } of groups) counts[_id] = count
        return counts
      }),

    raiseEpoch: (id, epoch, from) =>
      db.write(async () => {
        const only = from === undefined ? { $lt: epoch } : { $lt: epoch, $eq: from }
        const { modifiedCount } = await sessions.updateOne({ _id: id, epoch: only }, { $set: { epoch }, $inc: { fence: 1 } })
        return modifiedCount === 1
      }),

    update: (id, epoch, changes, describe) =>
      told(
        db.transact(id, async (tx) => {
          const held = await passFence(db, tx, id, epoch)
          const dated = changed(changes)
          return save({ ...held, ...dated }, dated, describe, tx)
        }),
      ),

    settle: (id, epoch, intentRevision, changes, describe) =>
      told(
        db.transact(id, async (tx) => {
          const held = await passFence(db, tx, id, epoch)
          if (held.intentRevision !== intentRevision) return null
          if (changes.status === 'logged_out') await eraseCredentials(db, tx, id)
          const dated = { ...changed(changes), claimable: false }
          return save({ ...held, ...dated }, dated, describe, tx)
        }),
      ),

    remove: (id, epoch) => removeSession(db, id, epoch),

    listSealedProxies: ({ afterId, limit }) =>
      db.read(async () => {
        const found = await sessions
          .find({ _id: { $gt: afterId }, 'settings.sealedProxyUrl': { $type: 'string' } }, { settings: 1 })
          .sort({ _id: 1 })
          .limit(limit)
          .lean()
        return found.map(({ _id: id, settings }) => ({ id, sealedProxyUrl: settings.sealedProxyUrl ?? '' }))
      }),

    resealProxy: (id, from, to) =>
      db.write(async () => {
        const where = { _id: id, 'settings.sealedProxyUrl': from }
        return (await sessions.updateOne(where, { $set: { 'settings.sealedProxyUrl': to } })).modifiedCount === 1
      }),

    setHealth: (id, health, describe) =>
      told(
        db.transact(id, async (tx) => {
          const found = await find(id, tx)
          return found && save({ ...found, health }, { health }, describe, tx)
        }),
      ),
  }
}

function changed(changes: HolderChanges): HolderChanges & { updatedAt: number } {
  return { ...changes, updatedAt: Date.now() }
}
