// Which events a change of a session makes: the `describe` callbacks that the store runs inside its transactions, and drafts.
import { isoTime } from '../platform/clock.ts'
import type { Describe, EventDraft } from '../store/event-store.ts'
import type { SessionRecord } from '../store/session-store.ts'
import { sessionView } from './session-view.ts'

/** Status and reason, with the session as GET shows it. */
export const describeStatus: Describe<SessionRecord> = (after) => [
  { type: 'session.status', data: { session: sessionView(after) } },
]

export const describeRestriction: Describe<SessionRecord> = (after) => [
  { type: 'session.restricted', data: { session: sessionView(after) } },
]

/** Told when the level changes; why, is in the session's `health`. */
export const describeHealth: Describe<SessionRecord> = (after) => [
  { type: 'session.health', data: { session: sessionView(after) } },
]

/** For changes that nobody needs to be told of. */
export const describeNothing: Describe<SessionRecord> = () => []

/** That there is a QR code or a pairing code, never the code: whoever reads it can link. */
export function codeAvailable(type: 'session.qr' | 'session.pairing_code', expiresAt: number): EventDraft {
  return { type, data: { available: true, expiresAt: isoTime(expiresAt) } }
}
