// How fast a session may send: intervals, warm-up, ramp and holds; pure rules, no I/O.
import { createHash } from 'node:crypto'
import type { HeldBy, Lane, PacingFacts } from '../store/message-store.ts'
import type { SessionRecord, SessionSettings } from '../store/session-store.ts'
import { phoneNumberOf } from '../whatsapp/address.ts'

/**
 * The share of the allowed rate that is used. At most `messagesPerMinute + burst − 1` distinct ids may reach phones in any minute; what is
 * left, nearly a second of each minute, is for jitter and for messages that are on their way a little longer than others.
 */
const usedShare = 0.985
/** Of the slack, how far jitter may go to either side. */
const jitterShare = 0.25
const minuteMs = 60_000
const dayMs = 24 * 3_600_000

/** After a reconnect the rate begins at this share and rises to the whole within `rampMs`. */
const rampFrom = 0.25
const rampMs = 60_000
const recoveringFactor = 2
const warmup = { from: 20, to: 200, days: 14 }

/** Somebody who wrote within this time is being answered. */
const replyMs = dayMs

export interface Pace {
  /** Milliseconds between two messages of the session, without jitter; null: no limit. */
  intervalMs: number | null
  burst: number
  /** How far ahead of its slots the session may be: what the burst allows, and after a reconnect a growing share of it. */
  aheadMs: number
  /** Between two messages to one recipient; null: no limit. */
  recipientMs: number | null
  newContactsPerDay: SessionSettings['newContactsPerDay']
  /** WhatsApp closed new contacts until this time; 0 when not. */
  restrictedUntil: number
}

type PacedSession = Pick<SessionRecord, 'settings' | 'health' | 'restriction'>

/** `connectedAt`: when it was connected again after it had been away; null on a first connection. */
export function paceOf({ settings, health, restriction }: PacedSession, now: number, connectedAt: number | null): Pace {
  const { messagesPerMinute, perRecipientSeconds, newContactsPerDay } = settings
  const burst = settings.burst ?? 1
  const fullMs = messagesPerMinute === null ? null : (minuteMs / (usedShare * messagesPerMinute)) * healthFactor(health)
  return {
    intervalMs: fullMs === null ? null : fullMs * rampFactor(now, connectedAt),
    burst,
    aheadMs: (burst - 1) * (fullMs ?? 0) * rampProgress(now, connectedAt),
    recipientMs: perRecipientSeconds === null ? null : perRecipientSeconds * 1_000,
    newContactsPerDay,
    restrictedUntil: restriction?.until ?? 0,
  }
}

/** A session that is not well sends at half its rate. */
function healthFactor(health: SessionRecord['health']): number {
  return health !== null && health.level !== 'healthy' ? recoveringFactor : 1
}

export function rampFactor(now: number, connectedAt: number | null): number {
  return 1 / (rampFrom + (1 - rampFrom) * rampProgress(now, connectedAt))
}

/** 0 at a reconnect, 1 when it does not matter any more. */
export function rampProgress(now: number, connectedAt: number | null): number {
  return connectedAt === null ? 1 : Math.min(1, Math.max(0, (now - connectedAt) / rampMs))
}

/** From the message id, so that every try and every test gets the same: −1 to 1. */
export function jitterOf(messageId: string): number {
  return createHash('sha256').update(messageId).digest().readUInt32BE(0) / 2 ** 31 - 1
}

/** The interval that follows this message. */
export function jittered(intervalMs: number, messageId: string): number {
  return intervalMs * (1 + jitterOf(messageId) * jitterShare * (1 - usedShare))
}

/** Days begin at midnight UTC. */
export function dayStart(now: number): number {
  return now - (now % dayMs)
}

/** How many strangers may be written to on the day of `at`; `firstAt`: when the session wrote to its first one. */
export function allowanceOn(perDay: SessionSettings['newContactsPerDay'], at: number, firstAt: number | null): number {
  if (perDay === null) return Infinity
  if (perDay !== 'warmup') return perDay
  const days = firstAt === null ? 0 : Math.max(0, (dayStart(at) - dayStart(firstAt)) / dayMs)
  return warmup.from + Math.floor(((warmup.to - warmup.from) * Math.min(days, warmup.days)) / warmup.days)
}

/** How many days ahead a place for a stranger is looked for; further ones are looked for again then. */
const maxDaysAhead = 60

/**
 * When a stranger who cannot be written to today can: midnight of the first day whose allowance those already held until then leave a place in.
 */
export function nextDayWithRoom(
  perDay: SessionSettings['newContactsPerDay'],
  now: number,
  firstAt: number | null,
  heldUntil: (day: number) => number,
): number {
  const today = dayStart(now)
  for (let ahead = 1; ahead < maxDaysAhead; ahead += 1) {
    const day = today + ahead * dayMs
    if (heldUntil(day) < allowanceOn(perDay, day, firstAt)) return day
  }
  return today + maxDaysAhead * dayMs
}

/** Neither has written to the other. */
export function isNewContact({ recipient, contact }: Pick<PacingFacts, 'recipient' | 'contact'>): boolean {
  if (recipient.endsWith('@g.us')) return false
  return contact === null || (contact.firstOutboundAt === null && contact.firstInboundAt === null)
}

/** They wrote within a day. */
function isReply({ contact }: Pick<PacingFacts, 'contact'>, now: number): boolean {
  return contact?.lastInboundAt != null && now - contact.lastInboundAt < replyMs
}

export interface Hold {
  heldBy: Extract<HeldBy, 'recipient' | 'new_contacts' | 'restriction'>
  heldUntil: number
}

/** Stays behind the one before it of its lane and recipient, whatever that waits for. */
export function holdBehind(facts: Pick<PacingFacts, 'heldBefore'>, pace: Pick<Pace, 'recipientMs'>, now: number): Hold | null {
  const before = facts.heldBefore
  if (before === null || before.heldUntil <= now) return null
  // A moment later at least: what is held until midnight for a place of its own is counted by its time.
  return { heldBy: before.heldBy as Hold['heldBy'], heldUntil: before.heldUntil + Math.max(1, pace.recipientMs ?? 0) }
}

/**
 * Under WhatsApp's restriction only those who have written to us can be reached: to anybody else it would refuse the message,
 * `high` or not, known or not.
 */
export function isRestricted(facts: Pick<PacingFacts, 'recipient' | 'contact'>, pace: Pace, now: number): boolean {
  return pace.restrictedUntil > now && isUnheard(facts)
}

/** They have never written to us. */
export function isUnheard({ recipient, contact }: Pick<PacingFacts, 'recipient' | 'contact'>): boolean {
  return !recipient.endsWith('@g.us') && contact?.firstInboundAt == null
}

/** Nobody is a stranger to themselves. */
export function isOwn(session: Pick<SessionRecord, 'phoneNumber' | 'lid'> | null, recipient: string): boolean {
  if (session === null) return false
  const phoneNumber = phoneNumberOf(recipient)
  return recipient === session.lid || (phoneNumber !== null && phoneNumber === session.phoneNumber)
}

/** WhatsApp does not always say until when, or says a time that has passed: a refusal means that new contacts are closed all the same. */
const defaultRestrictionMs = 3_600_000

/** When a restriction ends that WhatsApp has just shown to be in force. */
export function restrictionEnd(untilMs: number | null, now: number): number {
  return untilMs !== null && Number.isFinite(untilMs) && untilMs > now ? untilMs : now + defaultRestrictionMs
}

/** Strangers count against the day, but for messages that cannot wait. */
export function countsAsNewContact(
  facts: Pick<PacingFacts, 'recipient' | 'contact' | 'priority'>,
  pace: Pick<Pace, 'newContactsPerDay'>,
  now: number,
): boolean {
  return pace.newContactsPerDay !== null && passesNobody(facts.priority) && isNewContact(facts) && !isReply(facts, now)
}

function passesNobody(lane: Lane): boolean {
  return lane !== 'high'
}

/** What decides who is held back; equal for equal settings. */
export function holdRulesOf({ settings }: Pick<SessionRecord, 'settings'>): string {
  const { messagesPerMinute, burst, perRecipientSeconds, newContactsPerDay } = settings
  return JSON.stringify([messagesPerMinute, burst, perRecipientSeconds, newContactsPerDay])
}
