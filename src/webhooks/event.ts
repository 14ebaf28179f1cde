// What an event looks like outside: the API's resource, and the exact bytes that are signed.
import { isoTime } from '../platform/clock.ts'
import type { EventRecord } from '../store/event-store.ts'

export function eventView(event: EventRecord) {
  return {
    id: event.id,
    type: event.type,
    timestamp: isoTime(event.at),
    sessionId: event.sessionId,
    sequence: event.sequence,
    data: event.data,
  }
}

/** The body of a delivery; the same bytes on every attempt, because receivers may compare them. */
export function eventBody(event: EventRecord): string {
  return JSON.stringify(eventView(event))
}
