// An endpoint as the API shows it: no secret, and of the extra headers nothing.
import { isoTime } from '../platform/clock.ts'
import type { EndpointRecord } from '../store/event-store.ts'

export interface BreakerView {
  state: 'closed' | 'open' | 'half-open'
  /** When an open one lets the next attempt through. */
  openUntil: string | null
  consecutiveFailureCount: number
}

export interface EndpointView {
  id: string
  sessionId: string | null
  url: string
  events: string[]
  /** Their names and values are write-only. */
  hasHeaders: boolean
  enabled: boolean
  disabledReason: string | null
  failingSince: string | null
  lastSuccessAt: string | null
  /** The secret before this one signs until then too. */
  previousSecretUntil: string | null
  breaker: BreakerView | null
  createdAt: string
  updatedAt: string
}

/** `breaker` from `readBreakers`; null where it is not known. */
export function endpointView(record: EndpointRecord, breaker: BreakerView | null = null): EndpointView {
  return {
    id: record.id,
    sessionId: record.sessionId,
    url: record.url,
    events: record.events,
    hasHeaders: record.sealedHeaders !== null,
    enabled: record.enabled,
    disabledReason: record.disabledReason,
    failingSince: timeOrNull(record.failingSince),
    lastSuccessAt: timeOrNull(record.lastSuccessAt),
    previousSecretUntil: timeOrNull(record.previousSecretUntil),
    breaker,
    createdAt: isoTime(record.createdAt),
    updatedAt: isoTime(record.updatedAt),
  }
}

function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : isoTime(ms)
}
