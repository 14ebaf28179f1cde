// Position and expected time of leaving for the messages that the API shows, from the queue of their session and its pace.
import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import type { Log } from '../platform/log.ts'
import type { MessageRecord, MessageStore } from '../store/message-store.ts'
import type { SessionRecord } from '../store/session-store.ts'
import { countedLateMs } from './ack-times.ts'
import { QueueForecast, type AppendedRow } from './forecast.ts'
import type { QueuePlace } from './message-view.ts'
import { dayStart, isNewContact, isOwn, isUnheard, paceOf, rampFactor, rampProgress } from './pacing.ts'
import { readPace } from './pacing-script.ts'
import { typicalTypingMs } from './typing-time.ts'

export interface ForecastDeps {
  messages: Pick<MessageStore, 'list' | 'listQueue' | 'newContacts' | 'pacingFacts' | 'position'>
  /** A 'producer' connection. */
  redis: Redis
  prefix: string
  /** Messages a second of all sessions together; null: no limit. */
  fleetPerSecond: number | null
  log: Log
}

/** What is behind these waits so long that its time follows from the rate alone. */
const maxRows = 20_000
/** Recipients whose last message is looked up: the first ones of the queue. */
const maxRecipients = 200
/** A forecast is used again for so long: playing a queue of any length anew takes less than a hundredth of the time. */
const agePerRowMs = 0.4
const maxAgeMs = 5_000
/** An unpaced session sends as fast as WhatsApp acknowledges. */
const unpacedMs = 50

/** Nothing is kept back for being new to them. */
const notNew = { isNewContact: false, isUnheard: false }

interface Known {
  forecast: QueueForecast
  madeAt: number
  settings: string
}

/** Of all forecasts together: 10,000 rows take 2.8 MB. */
const maxKeptRows = 200_000

/** Each is dropped when its age is over, and before that when all together become too large. */
export function createForecastCache(): LRUCache<string, Known> {
  const sizeCalculation = ({ forecast }: Known) => 1 + forecast.byId.size
  return new LRUCache({ max: 1_000, maxSize: maxKeptRows, sizeCalculation, ttl: maxAgeMs, ttlAutopurge: true })
}

/** Milliseconds. */
export function ageOf(forecast: QueueForecast): number {
  return Math.ceil(Math.min(forecast.byId.size * agePerRowMs, maxAgeMs))
}

/** One per process. Nothing of it waits long: without Redis or the store there is no forecast, and the answer says null. */
export class SessionForecasts {
  readonly #deps: ForecastDeps
  readonly #known = createForecastCache()

  constructor(deps: ForecastDeps) {
    this.#deps = deps
  }

  /** `positions`: those known already, by message id, as an accept answers them. */
  async placesOf(
    session: SessionRecord,
    messages: readonly MessageRecord[],
    positions: ReadonlyMap<string, number> = new Map(),
  ): Promise<Map<string, QueuePlace>> {
    const places = new Map<string, QueuePlace>()
    for (const { id, status, sendAt } of messages) {
      if (status === 'scheduled') places.set(id, { position: null, estimatedSendAt: sendAt, hold: null })
    }
    const queued = messages.filter(({ status }) => status === 'queued')
    if (queued.length === 0) return places
    try {
      const found = this.#isPaced(session) ? await this.#paced(session, queued) : await this.#unpaced(session, queued, positions)
      for (const [id, place] of found) places.set(id, place)
    } catch (err) {
      this.#deps.log.debug({ err, sessionId: session.id }, 'forecast.failed')
    }
    return places
  }

  /**
   * Queued messages with their positions, in the order in which they are expected to leave; by lane and sequence where nobody can know.
   * All that a forecast knows, or `limit`; some may have ended, or been taken, since.
   */
  async nextPositions(session: SessionRecord, limit: number): Promise<Map<string, number>> {
    try {
      if (this.#isPaced(session)) {
        const { byId } = await this.#fresh(session, await this.#typedNext(session))
        const known = Array.from(byId, ([id, { position }]) => [id, position] as const)
        return new Map(known.toSorted(([, a], [, b]) => a - b))
      }
    } catch (err) {
      this.#deps.log.debug({ err, sessionId: session.id }, 'forecast.failed')
    }
    const rows = await this.#deps.messages.listQueue(session.id, limit)
    return new Map(rows.map(({ id }, index) => [id, index]))
  }

  /** Enough to tell how long typing takes. */
  async #typedNext({ id: sessionId, settings }: SessionRecord): Promise<MessageRecord[]> {
    if (!settings.typing) return []
    return (await this.#deps.messages.list({ sessionId, status: 'queued', limit: 20 })).data
  }

  #isPaced({ settings, restriction }: SessionRecord): boolean {
    const { messagesPerMinute, perRecipientSeconds, newContactsPerDay } = settings
    const isLimited = messagesPerMinute !== null || perRecipientSeconds !== null || newContactsPerDay !== null
    return isLimited || this.#deps.fleetPerSecond !== null || (restriction !== null && restriction.until > Date.now())
  }

  async #unpaced(session: SessionRecord, queued: readonly MessageRecord[], positions: ReadonlyMap<string, number>) {
    const now = Date.now()
    const listed = queued.length > 1 ? await this.#listedPositions(session.id, queued, positions) : positions
    const eachMs = unpacedMs + (session.settings.typing ? typicalTypingMs(queued) : 0)
    const places = new Map<string, QueuePlace>()
    for (const { id } of queued) {
      const position = listed.get(id) ?? (await this.#deps.messages.position(session.id, id))
      const estimatedSendAt = position === null || !isSending(session) ? null : now + position * eachMs + unpacedMs
      places.set(id, { position, estimatedSendAt, hold: null })
    }
    return places
  }

  /** One reading of the queue for all of them. */
  async #listedPositions(sessionId: string, queued: readonly MessageRecord[], known: ReadonlyMap<string, number>) {
    if (queued.every(({ id }) => known.has(id))) return known
    const rows = await this.#deps.messages.listQueue(sessionId, maxRows)
    return new Map(rows.map(({ id }, index) => [id, index]))
  }

  async #paced(session: SessionRecord, queued: readonly MessageRecord[]): Promise<Map<string, QueuePlace>> {
    const forecast = await this.#fresh(session, queued)
    const isRunning = isSending(session)
    const places = new Map<string, QueuePlace>()
    for (const message of queued) {
      const found = forecast.byId.get(message.id) ?? forecast.append(await this.#asQueued(session, message))
      const estimatedSendAt = isRunning ? Math.max(Math.round(found.sendAt), Date.now()) : null
      const { hold } = found
      places.set(message.id, {
        position: found.position,
        estimatedSendAt,
        hold: hold && hold.heldUntil > Date.now() ? { ...hold, heldUntil: Math.round(hold.heldUntil) } : null,
      })
    }
    return places
  }

  /** A recent forecast serves those accepted since as well; whoever asks for older ones gets one that knows them. */
  async #fresh(session: SessionRecord, queued: readonly MessageRecord[]): Promise<QueueForecast> {
    const settings = JSON.stringify([session.settings, session.health?.level, session.restriction, session.status])
    const known = this.#known.get(session.id)
    if (known?.settings === settings) {
      if (queued.every(({ id, createdAt }) => known.forecast.byId.has(id) || createdAt >= known.madeAt)) return known.forecast
    }
    const madeAt = Date.now()
    const forecast = await this.#play(session, madeAt, session.settings.typing ? typicalTypingMs(queued) : 0)
    const ttl = ageOf(forecast)
    if (ttl > 0) this.#known.set(session.id, { forecast, madeAt, settings }, { ttl })
    else this.#known.delete(session.id)
    return forecast
  }

  async #play(session: SessionRecord, now: number, typingMs: number): Promise<QueueForecast> {
    const { messages, redis, prefix, fleetPerSecond } = this.#deps
    const [rows, strangers] = await Promise.all([
      messages.listQueue(session.id, maxRows),
      messages.newContacts(session.id, dayStart(now), now),
    ])
    const recipients = [...new Set(rows.map(({ recipient }) => recipient))].slice(0, maxRecipients)
    const state = await readPace(redis, prefix, session.id, recipients)
    const paced = paceOf(session, now, null)
    // A recipient's interval begins when the message before is there.
    const pace = { ...paced, recipientMs: paced.recipientMs === null ? null : paced.recipientMs + typingMs }
    const base = pace.intervalMs ?? unpacedMs
    // What leaves late moves the slots after it, as far as the allowance of a burst does not make up for it.
    const isSlowed = pace.intervalMs !== null && typingMs > 0
    const lateMs = isSlowed ? Math.max(0, countedLateMs(typingMs + unpacedMs) - (pace.burst - 1) * base) : 0
    const fleetMs = fleetPerSecond === null ? 0 : 1_000 / fleetPerSecond
    return new QueueForecast(
      {
        now,
        pace,
        aheadAt: (at) => pace.aheadMs * rampProgress(at, state.rampSince),
        intervalAt: (at) => Math.max(base * rampFactor(at, state.rampSince) + lateMs, fleetMs),
        busyMs: typingMs === 0 ? 0 : typingMs + unpacedMs,
        fullAt: state.fullAt ?? now,
        fleetAt: fleetPerSecond === null ? 0 : (state.fleetAt ?? 0),
        recipientFreeAt: new Map(recipients.map((recipient, i) => [recipient, state.recipientNextAt[i] ?? 0])),
        strangers,
      },
      rows.map((row) => (isOwn(session, row.recipient) ? { ...row, ...notNew } : row)),
    )
  }

  async #asQueued(session: SessionRecord, { id, priority, recipient }: MessageRecord): Promise<AppendedRow> {
    const facts = await this.#deps.messages.pacingFacts(session.id, id)
    if (!facts || isOwn(session, recipient)) return { id, priority, recipient, ...notNew }
    return { id, priority, recipient, isNewContact: isNewContact(facts), isUnheard: isUnheard(facts) }
  }
}

/** Otherwise nobody knows when. */
function isSending({ status }: SessionRecord): boolean {
  return status === 'connected' || status === 'connecting' || status === 'reconnecting'
}
