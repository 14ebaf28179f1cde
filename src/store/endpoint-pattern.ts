// Which events an endpoint asks for: names, `message.*`, `*`. What is a secret in the making must be named.
import { eventTypes, type EventDraft, type EventType } from './event-store.ts'

/** Whoever reads the code behind these can link a phone: no wildcard includes them. */
const onlyByName: ReadonlySet<EventType> = new Set<EventType>(['session.qr', 'session.pairing_code'])
const groups: ReadonlySet<string> = new Set(eventTypes.map((type) => `${type.split('.')[0]}.*`))
const names: ReadonlySet<string> = new Set(eventTypes)

/** True for `*`, a group such as `message.*`, or the name of an event. */
export function isEventPattern(text: string): boolean {
  return text === '*' || groups.has(text) || names.has(text)
}

export function matchesEvent(patterns: readonly string[], type: EventType): boolean {
  if (patterns.includes(type)) return true
  if (onlyByName.has(type)) return false
  return patterns.includes('*') || patterns.includes(`${type.slice(0, type.indexOf('.'))}.*`)
}

/**
 * What tells of a fleet-wide endpoint stands under the session whose delivery it was, and is for readers and endpoints of the whole fleet alone:
 * no key of a session sees such an endpoint.
 */
export function isForFleetOnly({ type, data }: EventDraft): boolean {
  return type === 'webhook.disabled' && (data['endpoint'] as { sessionId?: unknown } | undefined)?.sessionId === null
}
