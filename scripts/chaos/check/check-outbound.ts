// Accepted messages: each shown once, in order, with a status that fits what happened.
import type { AcceptedMessage, History, StoredMessage, Violation } from './history.ts'
import { mayLackReceipts } from './may-be-missed.ts'

type Outbound = Pick<History, 'accepted' | 'refused' | 'shown' | 'frames' | 'stored' | 'inboundGaps' | 'lostWithDevice'>

/** Statuses that say that the message is on the phone. */
const arrived = new Set(['delivered', 'read', 'played'])
/** Refusals of WhatsApp's that nobody can cure; the faults make them on purpose. */
const allowedFailures = new Set(['rejected_by_whatsapp'])
const strangersFailure = 'reach_out_restricted'

export function checkOutbound(history: Outbound): Violation[] {
  return [
    ...history.refused.map(({ sessionId, text }) => ({ rule: 'refused' as const, sessionId, text })),
    ...checkShown(history),
    ...checkOrderOnPhones(history),
    ...checkOrderOfFrames(history),
    ...checkStatuses(history),
  ]
}

function checkShown({ accepted, shown, stored }: Outbound): Violation[] {
  const violations: Violation[] = []
  const known = new Map(accepted.map((message) => [message.whatsappId, message]))
  const outcomes = storedById(stored)
  const counts = new Map<string, number>()
  for (const { whatsappId, phone } of shown) {
    counts.set(whatsappId, (counts.get(whatsappId) ?? 0) + 1)
    const message = known.get(whatsappId)
    if (!message) violations.push({ rule: 'strange', whatsappId, text: `${phone} shows a message that nobody sent` })
    else if (message.recipient !== phone) {
      violations.push({ ...named(message), rule: 'strange', text: `shown on ${phone}, sent to ${message.recipient}` })
    }
  }
  for (const message of accepted) {
    const count = counts.get(message.whatsappId) ?? 0
    const outcome = outcomes.get(message.messageId)
    if (count > 1) violations.push({ ...named(message), rule: 'doubled', text: `shown ${count} times` })
    if (!outcome) violations.push({ ...named(message), rule: 'lost', text: 'accepted, but not in the store' })
    else if (count === 0 && outcome.status !== 'failed') {
      violations.push({ ...named(message), rule: 'lost', text: `is ${outcome.status}, but no phone shows it` })
    } else if (count > 0 && outcome.status === 'failed' && outcome.errorCode !== 'outcome_unknown') {
      violations.push({ ...named(message), rule: 'status', text: `failed with ${outcome.errorCode}, but a phone shows it` })
    }
  }
  return violations
}

function checkStatuses(history: Outbound): Violation[] {
  const { accepted, stored } = history
  const outcomes = storedById(stored)
  const isExcused = mayLackReceipts(history)
  const refused = new Set(history.frames.flatMap(({ whatsappId, refusedWith }) => (refusedWith === null ? [] : [whatsappId])))
  const shown = new Set(history.shown.map(({ whatsappId }) => whatsappId))
  // Refused when it was sent again: what the try before it did only a receipt could tell.
  const isRefusedLater = (message: AcceptedMessage) =>
    refused.has(message.whatsappId) && (!shown.has(message.whatsappId) || isExcused(message))
  const violations: Violation[] = []
  for (const message of accepted) {
    const outcome = outcomes.get(message.messageId)
    if (!outcome) continue
    const { status, errorCode } = outcome
    const isAllowed =
      allowedFailures.has(errorCode ?? '') ||
      (message.isStranger && errorCode === strangersFailure) ||
      (errorCode === 'outcome_unknown' && isRefusedLater(message))
    if (status === 'failed' && !isAllowed) {
      violations.push({ ...named(message), rule: 'failed', text: `failed with ${errorCode}, which no fault explains` })
    } else if (status !== 'failed' && !arrived.has(status) && !(status === 'sent' && (message.isToSelf || isExcused(message)))) {
      violations.push({ ...named(message), rule: 'status', text: `is still ${status} at the end` })
    }
  }
  return violations
}

/** One phone: whatever was accepted before another's request began is shown before it. */
function checkOrderOnPhones({ accepted, shown }: Outbound): Violation[] {
  const known = new Map(accepted.map((message) => [message.whatsappId, message]))
  const messages = firstOf(shown).flatMap(({ whatsappId }) => known.get(whatsappId) ?? [])
  const chats = Map.groupBy(messages, ({ sessionId, lane, recipient }) => `${sessionId} ${lane} ${recipient}`)
  return [...chats.values()].flatMap((chat) => overtaken(chat, 'on the phone'))
}

/**
 * One session and lane: the same for first frames at the server. What was sent to strangers may have stepped aside.
 */
function checkOrderOfFrames({ accepted, frames }: Outbound): Violation[] {
  const known = new Map(accepted.map((message) => [message.whatsappId, message]))
  const messages = firstOf(frames).flatMap(({ whatsappId }) => known.get(whatsappId) ?? [])
  const lanes = Map.groupBy(
    messages.filter(({ isStranger }) => !isStranger),
    ({ sessionId, lane }) => `${sessionId} ${lane}`,
  )
  return [...lanes.values()].flatMap((lane) => overtaken(lane, 'at the server'))
}

function overtaken(inOrder: readonly AcceptedMessage[], where: string): Violation[] {
  const violations: Violation[] = []
  let earliest: AcceptedMessage | undefined
  for (const message of inOrder.toReversed()) {
    if (earliest && earliest.acceptedAt < message.requestedAt) {
      const text = `came ${where} before ${earliest.messageId}, which had been accepted before it was asked for`
      violations.push({ ...named(message), rule: 'reordered', text })
    }
    if (!earliest || message.acceptedAt < earliest.acceptedAt) earliest = message
  }
  return violations
}

function firstOf<T extends { whatsappId: string }>(entries: readonly T[]): T[] {
  const seen = new Set<string>()
  return entries.filter(({ whatsappId }) => {
    if (seen.has(whatsappId)) return false
    seen.add(whatsappId)
    return true
  })
}

function storedById(stored: readonly StoredMessage[]): Map<string, StoredMessage> {
  return new Map(stored.map((message) => [message.messageId, message]))
}

function named({ messageId, whatsappId, sessionId }: AcceptedMessage) {
  return { messageId, whatsappId, sessionId }
}
