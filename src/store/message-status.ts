// The message's state machine: which step is one forward, and what the time line looks like after it.
import type { ContactFacts, HeldBy, MessageRecord, MessageStatus, StatusChange } from './message-store.ts'

const rank: Partial<Record<MessageStatus, number>> = {
  scheduled: 0,
  queued: 1,
  sending: 2,
  sent: 3,
  delivered: 4,
  read: 5,
  played: 6,
}
/** What a later one implies: a message that was read has been delivered and sent. */
const implied = ['sent', 'delivered', 'read'] as const

export function isUnfinished(status: MessageStatus): status is 'queued' | 'sending' {
  return status === 'queued' || status === 'sending'
}

/**
 * Forward only. Cancel and expiry are open until `sending`, failure until `sent`; what ended stays ended, but a failure of
 * unknown outcome gives way to proof that WhatsApp had the message after all.
 */
export function canAdvance(from: MessageStatus, to: MessageStatus, error: { code: string } | null = null): boolean {
  const start = rank[from]
  if (start === undefined) return from === 'failed' && error?.code === 'outcome_unknown' && (rank[to] ?? 0) >= 3
  if (to === 'failed') return start < 3
  if (to === 'expired' || to === 'canceled') return start < 2
  const end = rank[to]
  if (end === undefined || end <= start) return false
  return start > 0 || end === 1
}

/** The record after `change`, or null when that is no step forward. Steps jumped over get the same time, so that time lines are complete. */
export function advanced(record: MessageRecord, change: StatusChange): MessageRecord | null {
  const { to, at } = change
  if (!canAdvance(record.status, to, record.error)) return null
  const reachedAt = { ...record.reachedAt }
  const end = rank[to]
  if (end !== undefined) {
    for (const step of implied) if ((rank[step] ?? 0) < end) reachedAt[step] ??= at
  }
  reachedAt[to] = at
  return {
    ...record,
    status: to,
    error: to === 'failed' ? (change.error ?? null) : null,
    address: change.address ? { ...record.address, ...change.address } : record.address,
    heldBy: null,
    heldUntil: null,
    reachedAt,
    updatedAt: Math.max(record.updatedAt, at),
  }
}

/** The step by which somebody we wrote to stops being a stranger: WhatsApp has the message, or may have it. */
export function reachesContact(before: MessageRecord, after: MessageRecord): boolean {
  if (after.direction !== 'outbound' || (rank[before.status] ?? 0) >= 3) return false
  return (rank[after.status] ?? 0) >= 3 || (after.status === 'failed' && after.error?.code === 'outcome_unknown')
}

/** It was held back and leaves its line without being sent: those behind it waited for its sake. */
export function opensGap(before: MessageRecord, after: MessageRecord): boolean {
  return before.heldUntil !== null && (after.status === 'canceled' || after.status === 'expired')
}

/** Groups are nobody's contact. */
export function isContact(recipient: string): boolean {
  return !recipient.endsWith('@g.us')
}

export function isLid(recipient: string): boolean {
  return recipient.endsWith('@lid')
}

/** What does not hold back a message to somebody of whom this is known. */
export function holdsEndedBy(contact: ContactFacts | null): HeldBy[] {
  if (contact?.firstInboundAt != null) return ['new_contacts', 'restriction']
  return contact?.firstOutboundAt != null ? ['new_contacts'] : []
}

/** One person has one recipient, by which order and pacing go: that of their number, once it is known. */
export function addressedTo(message: MessageRecord, recipient: string): MessageRecord {
  return { ...message, recipient, address: { ...message.address, phoneNumber: digitsOf(recipient) } }
}

export function digitsOf(recipient: string): string {
  return recipient.slice(0, recipient.indexOf('@'))
}
