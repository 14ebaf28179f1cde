// What an event looks like outside: the exact bytes that are signed.
import { isoTime } from '../platform/clock.ts'
import type { EventRecord } from '../store/event-store.ts'

/** The body of a delivery; the same bytes on every attempt, because receivers may compare them. */
export function eventBody(event: EventRecord): string {
  return JSON.stringify({
    id: event.id,
    type: event.type,
    timestamp: isoTime(event.at),
    sessionId: event.sessionId,
    sequence: event.sequence,
    data: event.data,
  })
}
