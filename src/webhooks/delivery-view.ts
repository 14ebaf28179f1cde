// A delivery as the API shows it: what was tried, what came back, and what follows.
import { isoTime } from '../platform/clock.ts'
import type { DeliveryRecord, DeliveryStatus, EventType } from '../store/event-store.ts'

export interface DeliveryView {
  id: string
  eventId: string
  eventType: EventType
  endpointId: string
  sessionId: string
  /** The replay that made it. */
  replayId: string | null
  status: DeliveryStatus
  deadReason: string | null
  attemptCount: number
  nextAttemptAt: string | null
  attempts: { at: string; status: number | null; durationMs: number; error: string | null; answer: string | null }[]
  createdAt: string
  updatedAt: string
}

export function deliveryView(record: DeliveryRecord): DeliveryView {
  const waits = record.status === 'pending' || record.status === 'failed'
  return {
    id: record.id,
    eventId: record.eventId,
    eventType: record.eventType,
    endpointId: record.endpointId,
    sessionId: record.sessionId,
    replayId: record.replayId,
    status: record.status,
    deadReason: record.deadReason,
    attemptCount: record.attemptCount,
    nextAttemptAt: waits && record.nextAttemptAt !== null ? isoTime(record.nextAttemptAt) : null,
    attempts: record.attempts.map((attempt) => ({ ...attempt, at: isoTime(attempt.at) })),
    createdAt: isoTime(record.createdAt),
    updatedAt: isoTime(record.updatedAt),
  }
}
