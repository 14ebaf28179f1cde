// What an event looks like outside: the exact bytes that are signed, and the API's resource.
import { isoTime } from '../platform/clock.ts'
import type { EventRecord, EventType } from '../store/event-store.ts'

export interface EventView {
  id: string
  type: EventType
  timestamp: string
  sessionId: string
  sequence: number
  data: Record<string, unknown>
}

export function eventView(event: EventRecord): EventView {
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
