// The event log in MongoDB as its readers see it: pages from a place on, what was swept, and where a time stands.
import { aheadOfLog, badCursor } from '../cursor.ts'
import type { EventRecord, EventStore, EventType, LogPage } from '../event-store.ts'
import { pageOfLog, placeSteps } from '../log-page.ts'
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
      return db.read(async () => {
        if (sessionId === undefined) {
          const before = await events
            .findOne({ at: { $lt: at }, place: { $gt: 0 } }, { place: 1 })
            .sort({ at: -1, place: -1 })
            .lean()
          return String(before?.place ?? 0)
        }
        // By halving: a search backwards would read everything that came since.
        const from = (sequence: number) =>
          events
            .findOne({ sessionId, sequence: { $gte: sequence } }, { sequence: 1, at: 1 })
            .sort({ sequence: 1 })
            .lean()
        let low = (await from(0))?.sequence
        let high = (await newest(sessionId)) + 1
        if (low === undefined) return String(high - 1)
        while (low < high) {
          const middle = Math.floor((low + high) / 2)
          const found = await from(middle)
          if (found && found.at < at) low = middle + 1
          else high = middle
        }
        return String(low - 1)
      })
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
