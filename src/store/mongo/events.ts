// The event log in MongoDB; readers see only events that have their place in it.
import { badCursor } from '../cursor.ts'
import type { EventStore } from '../event-store.ts'
import type { MongoDatabase } from './database.ts'
import { createEventLog, toEvent } from './event-log.ts'
import type { EventPlaces } from './event-places.ts'
import { publish } from './outbox.ts'

export function createEvents(db: MongoDatabase, places: EventPlaces): EventStore {
  const { events, sessions } = db.models
  return {
    ...createEventLog(db, places),

    append: async (sessionId, drafts) => {
      const published = await db.transact(sessionId, async (session) => {
        if (!(await sessions.exists({ _id: sessionId, deletedAt: null }).session(session))) return []
        return publish(db, session, sessionId, drafts)
      })
      places.soon()
      return published
    },

    get: (id) =>
      db.read(async () => {
        const found = await events.findById(id).lean()
        return found && toEvent(found)
      }),

    list: async ({ sessionId, afterCursor, afterSequence, types, limit }) => {
      const after = afterCursor === undefined ? 0 : positionOf(afterCursor)
      await places.giveAll()
      return db.read(async () => {
        const found = await events
          .find({
            place: { $gt: after },
            ...(sessionId ? { sessionId } : {}),
            ...(sessionId && afterSequence !== undefined ? { sequence: { $gt: afterSequence } } : {}),
            ...(types ? { type: { $in: types } } : {}),
          })
          .sort({ place: 1 })
          .limit(limit)
          .lean()
        return found.map(toEvent)
      })
    },
  }
}

function positionOf(cursor: string): number {
  if (!/^\d{1,15}$/.test(cursor)) throw badCursor()
  return Number(cursor)
}
