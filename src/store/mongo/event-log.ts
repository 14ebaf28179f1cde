// The event log in MongoDB as its readers see it: pages from a place on, what was swept, and where a time stands.
import { aheadOfLog, badCursor } from '../cursor.ts'
import type { EventRecord, EventStore, EventType, LogPage } from '../event-store.ts'
import { pageOfLog, placeSteps } from '../log-page.ts'
import { placeBeforeTime, type DatedLog } from '../place-before.ts'
import type { MongoDatabase } from './database.ts'
import { placesId, type EventPlaces } from './event-places.ts'
import type { EventDoc } from './schemas.ts'

/** Where retention notes how far it has come, in `meta`. */
export const sweptId = 'events swept'

/**
 * Under a session places are its sequences, which rise in the order of commits; in the whole log they are those of `EventPlaces`. The newest
 * place is read first and the gap last, so that what others do in between goes unseen by neither.
 */
export function createEventLog(db: MongoDatabase, places: EventPlaces): Pick<EventStore, 'read' | 'newestPlace' | 'placeBefore'> {
  const { events, counters, meta } = db.models
  const valueOf = async (id: string) => (await meta.findById(id).lean())?.value ?? 0

  const newest = async (sessionId: string | undefined): Promise<number> => {
    if (sessionId !== undefined) return (await counters.findById(sessionId).lean())?.eventSequence ?? 0
    return Math.max(await valueOf(placesId), await valueOf(sweptId))
  }

  /** A session's sequences have no gaps but those of restores, so that its first event after a place says what was swept. */
  const sweptBefore = async (sessionId: string | undefined, after: number, end: number): Promise<number> => {
    if (sessionId === undefined) return valueOf(sweptId)
    const first = await events
      .findOne({ sessionId, sequence: { $gt: after } }, { sequence: 1 })
      .sort({ sequence: 1 })
      .lean()
    return first ? first.sequence - 1 : end
  }

  const readPage = async (query: {
    sessionId?: string
    after?: string
    types?: readonly EventType[]
    limit: number
  }): Promise<LogPage> => {
    const { sessionId, types, limit } = query
    const after = query.after === undefined ? 0 : placeOf(query.after)
    const end = await newest(sessionId)
    if (after > end) throw aheadOfLog()
    const filter = {
      ...(sessionId === undefined ? { place: { $gt: after } } : { sessionId, sequence: { $gt: after } }),
      ...(types ? { type: { $in: types } } : {}),
    }
    const sort = sessionId === undefined ? ({ place: 1 } as const) : ({ sequence: 1 } as const)
    const found = await events.find(filter, null, { sort, limit: limit + 1 }).lean()
    const { rows, ...page } = pageOfLog({
      found,
      place: (event) => (sessionId === undefined ? event.place : event.sequence) ?? 0,
      after: query.after === undefined ? undefined : after,
      newest: end,
      sweptTo: query.after === undefined ? 0 : await sweptBefore(sessionId, after, end),
      limit,
      step: placeSteps[sessionId === undefined ? 'fleet' : 'session'],
    })
    return { events: rows.map(toEvent), ...page }
  }

  const datedLog = (sessionId: string | undefined): DatedLog => {
    const field = sessionId === undefined ? 'place' : 'sequence'
    const ask = async (bounds: { $gte: number } | { $lt: number; $gt: number }, order: 1 | -1, limit: number) =>
      db.read(async () => {
        const filter = { ...(sessionId === undefined ? {} : { sessionId }), [field]: bounds }
        const found = await events
          .find(filter, { place: 1, sequence: 1, at: 1 })
          .sort({ [field]: order })
          .limit(limit)
          .lean()
        return found.map((event) => ({ place: event[field] ?? 0, at: event.at }))
      })
    return {
      newest: async () => db.read(() => newest(sessionId)),
      from: async (from, limit) => ask({ $gte: from }, 1, limit),
      before: async (end, limit) => ask({ $lt: end, $gt: 0 }, -1, limit),
    }
  }

  return {
    read: async (query) => {
      if (query.sessionId === undefined) await places.giveAll()
      return db.read(() => readPage(query))
    },

    newestPlace: async (sessionId) => {
      if (sessionId === undefined) await places.giveAll()
      return db.read(async () => String(await newest(sessionId)))
    },

    placeBefore: async (at, sessionId) => {
      if (sessionId === undefined) await places.giveAll()
      return String(await placeBeforeTime(datedLog(sessionId), at))
    },
  }
}

function placeOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw badCursor('after')
  return Number(text)
}

export function toEvent(doc: EventDoc): EventRecord {
  const { _id: id, place, unplaced: _, ...rest } = doc
  return { id, ...rest, cursor: place === undefined ? '' : String(place) }
}
