// When each waiting message is expected to leave: plays the session's pace forward over its queue. Pure.
import type { HeldBy, Lane, QueuedMessage } from '../store/message-store.ts'
import { lanes } from '../store/message-store.ts'
import { allowanceOn, dayStart, nextDayWithRoom, type Pace } from './pacing.ts'
import { PriorityQueue } from './priority-queue.ts'

export interface ForecastStart {
  /** Milliseconds since the epoch, as all times here. */
  now: number
  pace: Pace
  /** The interval as it will be then. */
  intervalAt: (at: number) => number
  /** How far ahead of its slots the session may be then. */
  aheadAt: (at: number) => number
  /** What one message takes itself: the next can leave no sooner. */
  busyMs: number
  /** When the session's allowance is whole again. */
  fullAt: number
  /** The fleet gives out no turn before. */
  fleetAt: number
  /** When a recipient may get the next one. */
  recipientFreeAt: ReadonlyMap<string, number>
  strangers: { count: number; firstAt: number | null }
}

export interface Forecast {
  /** How many leave before it. */
  position: number
  sendAt: number
  hold: { heldBy: HeldBy; heldUntil: number } | null
}

/** What decides when one that was accepted last may leave. */
export type AppendedRow = Pick<QueuedMessage, 'id' | 'priority' | 'recipient' | 'isNewContact' | 'isUnheard'>

interface Waiting {
  row: QueuedMessage
  /** Its place in the order of lanes and sequences. */
  rank: number
  hold: Forecast['hold']
}

interface Later {
  waiting: Waiting
  at: number
}

export class QueueForecast {
  readonly byId = new Map<string, Forecast>()
  readonly #start: ForecastStart
  readonly #freeAt: Map<string, number>
  readonly #strangers = new Map<number, number>()
  readonly #met = new Set<string>()
  /** Those whose turn came while WhatsApp's restriction keeps them back, by message id. */
  readonly #restricted = new Set<string>()
  /** When the last one of each lane is expected to leave. */
  readonly #lastAt = new Map<Lane, number>()
  readonly #counts = new Map<Lane, number>()
  #fullAt: number
  #at: number
  #sentCount: number

  /** `rows` in the order of `listQueue`. */
  constructor(start: ForecastStart, rows: readonly QueuedMessage[]) {
    this.#start = start
    this.#freeAt = new Map(start.recipientFreeAt)
    this.#fullAt = start.fullAt
    this.#at = start.now
    this.#strangers.set(dayStart(start.now), start.strangers.count)
    for (const { status, priority } of rows) {
      if (status === 'sending') this.#counts.set(priority, (this.#counts.get(priority) ?? 0) + 1)
    }
    this.#sentCount = rows.filter(({ status }) => status === 'sending').length
    this.#play(rows)
  }

  /** One that was accepted after the others were listed: at the end of its lane. */
  append(row: AppendedRow): Forecast {
    const before = lanes.slice(0, lanes.indexOf(row.priority) + 1)
    const last = Math.max(-Infinity, ...before.map((lane) => this.#lastAt.get(lane) ?? -Infinity))
    const turn =
      last === -Infinity
        ? this.#nextTurn(this.#start.now, this.#start.fullAt)
        : last + Math.max(this.#start.intervalAt(last), this.#start.busyMs)
    const sendAt = this.#whenAllowed(row, Math.max(turn, this.#freeAt.get(row.recipient) ?? 0))
    const position = before.reduce((sum, lane) => sum + (this.#counts.get(lane) ?? 0), 0)
    this.#left(row, sendAt)
    const ownHold = this.#holdOf(row, sendAt)
    if (ownHold === null) this.#lastAt.set(row.priority, turn)
    const hold = ownHold ?? (position === 0 ? this.#sessionHold(sendAt) : null)
    const forecast = { position, sendAt, hold }
    this.byId.set(row.id, forecast)
    return forecast
  }

  #play(rows: readonly QueuedMessage[]): void {
    const ready = new PriorityQueue<Waiting>((a, b) => a.rank - b.rank)
    const later = new PriorityQueue<Later>((a, b) => a.at - b.at || a.waiting.rank - b.waiting.rank)
    const behind = this.#chains(rows, (waiting) => this.#enter(waiting, ready, later))
    for (;;) {
      this.#at = this.#nextTurn(this.#at, this.#fullAt)
      for (let due = later.peek(); due && due.at <= this.#at; due = later.peek()) ready.push((later.pop() as Later).waiting)
      const next = ready.pop()
      if (!next) {
        const due = later.peek()
        if (!due) return
        this.#at = Math.max(this.#at, due.at)
        continue
      }
      const allowedAt = this.#whenAllowed(next.row, Math.max(this.#at, this.#freeAt.get(next.row.recipient) ?? 0))
      if (allowedAt > this.#at) {
        later.push({ waiting: next, at: allowedAt })
        continue
      }
      const hold = this.#leave(next)
      const following = behind.get(next)
      if (!following) continue
      following.hold ??= holdAfter(hold, this.#start.pace)
      this.#enter(following, ready, later)
    }
  }

  /** Messages to one recipient leave one behind the other in each lane. Gives each its follower; `enter` gets the first ones. */
  #chains(rows: readonly QueuedMessage[], enter: (waiting: Waiting) => void): Map<Waiting, Waiting> {
    const { now, pace } = this.#start
    const behind = new Map<Waiting, Waiting>()
    const ends = new Map<string, Waiting>()
    const heads: Waiting[] = []
    for (const [rank, row] of rows.entries()) {
      if (row.status === 'sending') continue
      const key = `${row.priority} ${row.recipient}`
      const before = ends.get(key)
      const own = row.heldBy !== null && row.heldUntil !== null && row.heldUntil > now
      const hold = own ? { heldBy: row.heldBy as HeldBy, heldUntil: row.heldUntil as number } : holdAfter(before?.hold, pace)
      const waiting = { row, rank, hold }
      if (before) behind.set(before, waiting)
      else heads.push(waiting)
      ends.set(key, waiting)
    }
    for (const head of heads) enter(head)
    return behind
  }

  #enter(waiting: Waiting, ready: PriorityQueue<Waiting>, later: PriorityQueue<Later>): void {
    const until = waiting.row.heldUntil ?? 0
    if (until > this.#at) later.push({ waiting, at: until })
    else ready.push(waiting)
  }

  /** What kept it back, besides the session's pace. */
  #leave({ row, hold }: Waiting): Forecast['hold'] {
    const sendAt = this.#at
    const isFirst = this.byId.size === 0
    const ownHold = hold ?? this.#holdOf(row, sendAt)
    this.byId.set(row.id, { position: this.#sentCount, sendAt, hold: ownHold ?? (isFirst ? this.#sessionHold(sendAt) : null) })
    this.#sentCount += 1
    this.#fullAt = Math.max(this.#fullAt, sendAt) + this.#start.intervalAt(sendAt)
    this.#left(row, sendAt)
    this.#at = sendAt + this.#start.busyMs
    // Who comes after one that is held back for long need not wait for it.
    if (ownHold === null) this.#lastAt.set(row.priority, sendAt)
    return ownHold
  }

  #left({ recipient, priority }: Pick<QueuedMessage, 'recipient' | 'priority'>, sendAt: number): void {
    this.#freeAt.set(recipient, sendAt + (this.#start.pace.recipientMs ?? 0))
    this.#counts.set(priority, (this.#counts.get(priority) ?? 0) + 1)
  }

  #nextTurn(at: number, fullAt: number): number {
    const { fleetAt, aheadAt } = this.#start
    return Math.max(at, fleetAt, fullAt - aheadAt(at))
  }

  /** Later than `turn` while WhatsApp lets the session write to nobody new, and when the day has no room for one more stranger. */
  #whenAllowed(row: AppendedRow, turn: number): number {
    const { newContactsPerDay, restrictedUntil } = this.#start.pace
    if (row.isUnheard && turn < restrictedUntil) this.#restricted.add(row.id)
    const at = row.isUnheard ? Math.max(turn, restrictedUntil) : turn
    if (!row.isNewContact || newContactsPerDay === null || row.priority === 'high' || this.#met.has(row.recipient)) return at
    const firstAt = this.#start.strangers.firstAt ?? this.#start.now
    const countOn = (day: number) => this.#strangers.get(day) ?? 0
    const today = dayStart(at)
    const day =
      countOn(today) < allowanceOn(newContactsPerDay, at, firstAt)
        ? today
        : nextDayWithRoom(newContactsPerDay, at, firstAt, countOn)
    this.#strangers.set(day, countOn(day) + 1)
    this.#met.add(row.recipient)
    return Math.max(at, day)
  }

  #holdOf(row: AppendedRow, sendAt: number): Forecast['hold'] {
    if (this.#restricted.has(row.id)) return { heldBy: 'restriction', heldUntil: this.#start.pace.restrictedUntil }
    const isAnotherDay = dayStart(sendAt) > dayStart(this.#start.now)
    return isAnotherDay && row.isNewContact && this.#met.has(row.recipient)
      ? { heldBy: 'new_contacts', heldUntil: dayStart(sendAt) }
      : null
  }

  #sessionHold(sendAt: number): Forecast['hold'] {
    const { now, fleetAt, fullAt } = this.#start
    if (sendAt <= now) return null
    return { heldBy: fleetAt > fullAt ? 'fleet' : 'session', heldUntil: sendAt }
  }
}

function holdAfter(before: Forecast['hold'] | undefined, pace: Pace): Forecast['hold'] {
  if (!before) return null
  return { heldBy: before.heldBy, heldUntil: before.heldUntil + Math.max(1, pace.recipientMs ?? 0) }
}
