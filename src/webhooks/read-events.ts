// Reads the event log for whoever comes back to it: nothing is missed unnoticed.
import { AppError } from '../platform/errors.ts'
import { isForFleetOnly, matchesEvent } from '../store/endpoint-pattern.ts'
import { eventTypes, type EventStore, type EventType, type LogPage } from '../store/event-store.ts'

interface ReadInput {
  sessionId: string | null
  /** A cursor, or under a session a sequence; undefined begins with the oldest event kept. */
  after: string | undefined
  /** null: all. */
  types: readonly EventType[] | null
  limit: number
}

/** @throws AppError `cursor_expired` when something after that place is no longer kept, `invalid_request` */
export async function readEvents(events: Pick<EventStore, 'read'>, input: ReadInput): Promise<LogPage> {
  const { sessionId, after, types, limit } = input
  const page = await events.read({
    limit,
    ...(sessionId === null ? {} : { sessionId }),
    ...(after === undefined ? {} : { after }),
    ...(types === null ? {} : { types }),
  })
  if (page.oldestPlace !== null) throw new AppError('cursor_expired', undefined, { oldestCursor: page.oldestPlace })
  return sessionId === null ? page : { ...page, events: page.events.filter((event) => !isForFleetOnly(event)) }
}

/**
 * The types that all of these lists of patterns include; null when none of them leaves anything out.
 * For readers of the log `*` means everything: what they get of codes is only that there is one.
 */
export function typesOf(...patterns: readonly (readonly string[])[]): EventType[] | null {
  const types = eventTypes.filter((type) => patterns.every((list) => list.includes('*') || matchesEvent(list, type)))
  return types.length === eventTypes.length ? null : types
}
