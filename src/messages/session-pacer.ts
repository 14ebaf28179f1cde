// Whether one held session may send a message now: what its settings, its recipients, strangers and the fleet allow.
import type { Redis } from 'ioredis'
import { monotonicMs } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { MessageStore, NewContacts, PacingFacts } from '../store/message-store.ts'
import type { SessionRecord, SessionStore } from '../store/session-store.ts'
import { countPacingWait } from './message-metrics.ts'
import { AckTimes } from './ack-times.ts'
import {
  allowanceOn,
  countsAsNewContact,
  dayStart,
  holdBehind,
  holdRulesOf,
  isNewContact,
  isOwn,
  isRestricted,
  jittered,
  nextDayWithRoom,
  paceOf,
  restrictionEnd,
  type Hold,
  type Pace,
} from './pacing.ts'
import { openPace, readHoldRules, reserve, writeHoldRules } from './pacing-script.ts'

export interface PacerDeps {
  sessions: Pick<SessionStore, 'get'>
  messages: Pick<MessageStore, 'pacingFacts' | 'hold' | 'releaseHeld' | 'newContacts'>
  /** A 'worker' connection. */
  redis: Redis
  prefix: string
  epoch: number
  /** Messages a second of all sessions together; null: no limit. */
  fleetPerSecond: number | null
  log: Log
}

export type Admission =
  | { kind: 'go' }
  /** The whole session waits: `waitMs` tells how long. */
  | { kind: 'wait' }
  /** Held back, in the store too: others may pass until then. */
  | { kind: 'aside'; until: number }

/** A session's settings and health are read again after this time, should a wake-up have been lost. */
const freshMs = 10_000
const strangersFreshMs = 60_000

export class SessionPacer {
  readonly #deps: PacerDeps
  readonly #sessionId: string
  #session: SessionRecord | null = null
  #readAt = -Infinity
  #mustOpen = true
  /** Milliseconds since the epoch; null on a first connection. */
  #reconnectedAt: number | null = null
  #restrictedUntil = 0
  #notedRules: string | null = null
  /** On the monotonic clock. */
  #notBefore = -Infinity
  #turnAt: number | null = null
  readonly #acks = new AckTimes()
  #previousRecipient: string | null = null
  #admitted: { id: string; recipient: string; isNew: boolean; at: number } | null = null
  #strangers: (NewContacts & { at: number; day: number }) | null = null

  constructor(deps: PacerDeps, sessionId: string) {
    this.#deps = deps
    this.#sessionId = sessionId
  }

  /** As it was read before the last message. */
  get isTyping(): boolean {
    return this.#session?.settings.typing === true
  }

  /** How long the session may send nothing at all. */
  get waitMs(): number {
    return Math.max(0, this.#notBefore - monotonicMs())
  }

  /** A socket is open. After a reconnect the rate rises slowly. */
  connected(isReconnect: boolean): void {
    this.#reconnectedAt = isReconnect ? Date.now() : null
    this.#mustOpen = true
  }

  /** Settings may have changed: they are read before the next message. */
  reconsider(): void {
    this.#readAt = -Infinity
    this.#notBefore = -Infinity
  }

  /** WhatsApp refused a message to somebody new (463). */
  restrict(untilMs: number | null): void {
    this.#restrictedUntil = Math.max(this.#restrictedUntil, restrictionEnd(untilMs, Date.now()))
  }

  /** Before each message: one read every few seconds, and nothing else unless the session is paced. True when holds were ended. */
  async prepare(hasHeld: boolean): Promise<boolean> {
    const isReleased = monotonicMs() - this.#readAt > freshMs && (await this.#read(hasHeld))
    if (!this.#mustOpen) return isReleased
    this.#mustOpen = false
    const pace = this.#pace(Date.now())
    if (pace.intervalMs === null && pace.recipientMs === null) return isReleased
    const { redis, prefix } = this.#deps
    const { intervalMs, burst } = pace
    const opened = { sessionId: this.#sessionId, intervalMs, burst, rampSince: this.#reconnectedAt }
    try {
      await openPace(redis, prefix, { ...opened, isNew: this.#reconnectedAt === null })
    } catch (error) {
      this.#mustOpen = true
      throw error
    }
    return isReleased
  }

  async admit(id: string, hasHeld: boolean): Promise<Admission> {
    const now = Date.now()
    const pace = this.#pace(now)
    if (!hasHeld && !this.#isLimited(pace, now)) return { kind: 'go' }
    const facts = await this.#deps.messages.pacingFacts(this.#sessionId, id)
    // What is being sent again has its place already; what has ended or expired is for the store to say.
    if (facts?.status === 'sending' && this.#admitted?.id !== id)
      this.#admitted = { id, recipient: facts.recipient, isNew: isNewContact(facts), at: -Infinity }
    if (facts?.status !== 'queued' || (facts.expiresAt !== null && facts.expiresAt <= now)) return { kind: 'go' }
    if (facts.heldUntil !== null && facts.heldUntil > now) return { kind: 'aside', until: facts.heldUntil }
    const hold = holdBehind(facts, pace, now) ?? (await this.#holdStranger(facts, pace, now))
    return hold ? this.#hold(id, hold) : this.#reserve(id, facts, pace)
  }

  /** The message that was let go last is the first one to its recipient, and others to them may have waited for a day with room. */
  get endsHolds(): boolean {
    return this.#admitted?.isNew === true && this.#session?.settings.newContactsPerDay !== null
  }

  /** The outcome of the message that was let go last is known: it may have left. What never came so far has not. */
  acked(id: string): void {
    const admitted = this.#admitted
    if (admitted?.id !== id) return
    const ackedAt = monotonicMs()
    this.#acks.record(ackedAt, ackedAt - admitted.at)
    this.#previousRecipient = admitted.recipient
    this.#strangers = null
  }

  #pace(now: number): Pace {
    const session = this.#session
    if (!session)
      return { intervalMs: null, burst: 1, aheadMs: 0, recipientMs: null, newContactsPerDay: null, restrictedUntil: 0 }
    const pace = paceOf(session, now, this.#reconnectedAt)
    return { ...pace, restrictedUntil: Math.max(pace.restrictedUntil, this.#restrictedUntil) }
  }

  #isLimited(pace: Pace, now: number): boolean {
    return this.#needsRedis(pace) || pace.newContactsPerDay !== null || pace.restrictedUntil > now
  }

  #needsRedis(pace: Pace): boolean {
    return pace.intervalMs !== null || pace.recipientMs !== null || this.#deps.fleetPerSecond !== null
  }

  async #read(hasHeld: boolean): Promise<boolean> {
    const before = this.#session
    const session = await this.#deps.sessions.get(this.#sessionId)
    this.#readAt = monotonicMs()
    this.#session = session
    if (!session || !hasHeld) return false
    // What somebody changed while nobody held the session counts for what is held back too.
    const judgedUnder = before ? holdRulesOf(before) : await readHoldRules(this.#deps.redis, this.#deps.prefix, this.#sessionId)
    if (judgedUnder === holdRulesOf(session)) return false
    this.#strangers = null
    const released = await this.#deps.messages.releaseHeld({
      sessionId: this.#sessionId,
      epoch: this.#deps.epoch,
      at: Date.now(),
    })
    this.#deps.log.info({ releasedCount: released }, 'pacing.changed')
    return released > 0
  }

  async #holdStranger(facts: PacingFacts, pace: Pace, now: number): Promise<Hold | null> {
    if (isOwn(this.#session, facts.recipient)) return null
    if (isRestricted(facts, pace, now)) return { heldBy: 'restriction', heldUntil: pace.restrictedUntil }
    if (!countsAsNewContact(facts, pace, now)) return null
    const strangers = await this.#knownStrangers(now)
    const { newContactsPerDay } = pace
    if (strangers.count < allowanceOn(newContactsPerDay, now, strangers.firstAt)) return null
    const firstAt = strangers.firstAt ?? now
    const heldOn = (day: number) => strangers.held.find(({ heldUntil }) => heldUntil === day)?.count ?? 0
    const heldUntil = nextDayWithRoom(newContactsPerDay, now, firstAt, heldOn)
    const group = strangers.held.find((each) => each.heldUntil === heldUntil)
    if (group) group.count += 1
    else strangers.held.push({ heldUntil, count: 1 })
    return { heldBy: 'new_contacts', heldUntil }
  }

  async #knownStrangers(now: number): Promise<NewContacts> {
    const day = dayStart(now)
    const known = this.#strangers
    if (known && known.day === day && now - known.at < strangersFreshMs) return known
    const found = await this.#deps.messages.newContacts(this.#sessionId, day, now)
    this.#strangers = { ...found, at: now, day }
    return this.#strangers
  }

  async #hold(id: string, { heldBy, heldUntil }: Hold): Promise<Admission> {
    await this.#noteRules()
    const isHeld = await this.#deps.messages.hold({
      sessionId: this.#sessionId,
      id,
      epoch: this.#deps.epoch,
      heldBy,
      heldUntil: Math.ceil(heldUntil),
    })
    if (!isHeld) return { kind: 'go' }
    countPacingWait(heldBy, heldUntil - Date.now())
    this.#deps.log.debug({ messageId: id, heldBy, heldUntil }, 'message.held')
    return { kind: 'aside', until: Math.ceil(heldUntil) }
  }

  /** Before anything is held back: the next holder judges all of it anew when these are not its session's settings. */
  async #noteRules(): Promise<void> {
    const rules = this.#session && holdRulesOf(this.#session)
    if (rules === null || rules === this.#notedRules) return
    await writeHoldRules(this.#deps.redis, this.#deps.prefix, this.#sessionId, rules)
    this.#notedRules = rules
  }

  async #reserve(id: string, facts: PacingFacts, pace: Pace): Promise<Admission> {
    const { recipient } = facts
    const isNew = isNewContact(facts)
    if (!this.#needsRedis(pace)) {
      this.#admitted = { id, recipient, isNew, at: monotonicMs() }
      return { kind: 'go' }
    }
    const { redis, prefix } = this.#deps
    const sentBefore = this.#acks.sentBefore(monotonicMs())
    const answer = await reserve(redis, prefix, {
      sessionId: this.#sessionId,
      messageId: id,
      recipient,
      intervalMs: pace.intervalMs === null ? null : jittered(pace.intervalMs, id),
      burst: pace.burst,
      aheadMs: pace.aheadMs,
      recipientMs: pace.recipientMs,
      fleetIntervalMs: this.#fleetIntervalMs(),
      previous: sentBefore && this.#previousRecipient !== null ? { recipient: this.#previousRecipient, ...sentBefore } : null,
    })
    const at = monotonicMs()
    switch (answer.kind) {
      case 'granted':
        this.#admitted = { id, recipient, isNew, at }
        this.#turnAt = null
        this.#notBefore = at + answer.waitMs
        if (answer.waitMs > 0) countPacingWait('session', answer.waitMs)
        return { kind: 'go' }
      case 'recipient':
        return this.#hold(id, { heldBy: 'recipient', heldUntil: Date.now() + answer.waitMs })
      case 'fleet':
        countPacingWait('fleet', answer.waitMs)
        this.#turnAt = answer.isTurnKept ? at + answer.waitMs : null
        this.#notBefore = at + answer.waitMs
        return { kind: 'wait' }
      case 'session':
        this.#notBefore = at + answer.waitMs
        return { kind: 'wait' }
    }
  }

  /** A turn that was given out and let pass is asked for again. */
  #fleetIntervalMs(): number | null {
    const { fleetPerSecond } = this.#deps
    if (fleetPerSecond === null) return null
    const hasTurn = this.#turnAt !== null && Math.abs(monotonicMs() - this.#turnAt) < 1_000
    return hasTurn ? null : 1_000 / fleetPerSecond
  }
}
