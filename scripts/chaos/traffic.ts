// The traffic of a run, both ways: every request has an Idempotency-Key and is repeated until it is answered, as a good client does.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiClient } from '../support/api-client.ts'
import { ApiError, type MessageResource } from '../support/api-client.ts'
import type { SandboxClient } from '../support/sandbox-client.ts'
import type { AcceptedMessage, History, InboundMessage } from './check/history.ts'
import type { Random } from './random.ts'

export interface ChaosSession {
  id: string
  index: number
  phoneNumber: string
  api: ApiClient
}

interface TrafficDeps {
  sessions: readonly ChaosSession[]
  /** Phone numbers of people who write and are written to. */
  people: readonly string[]
  sandbox: SandboxClient
  random: Random
  perSecond: number
}

/** One try of a request, for the history of its message. */
export interface Attempt {
  at: number
  outcome: string
}

/** People that a session writes with. */
const circleSize = 3
const inboundPart = 0.25
/** Of messages sent: to the session's own number. No receipt of another phone stands in for an ack that is lost. */
const toSelfPart = 0.12
const tickMs = 50
const pauseMs = 250
/** A request that is not answered in this time, however often it is repeated, counts as refused. */
const patienceMs = 120_000
/** What could not be begun in time is made up for at this multiple of the rate: after a pause there is no flood. */
const catchUp = 2

export class Traffic {
  readonly accepted: AcceptedMessage[] = []
  readonly refused: History['refused'] = []
  readonly inbound: InboundMessage[] = []
  /** By message id. */
  readonly attempts = new Map<string, Attempt[]>()
  readonly #deps: TrafficDeps
  readonly #circles: ReadonlyMap<string, string[]>
  readonly #busy = new Set<string>()
  readonly #pending = new Set<Promise<void>>()
  readonly #counters = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #due = 0
  /** Messages that may begin now. */
  #allowed = 0
  #lastKey = 0
  #isPatient = true

  constructor(deps: TrafficDeps) {
    this.#deps = deps
    this.#circles = new Map(deps.sessions.map(({ id }) => [id, deps.random.some(deps.people, circleSize)]))
  }

  /** Everybody writes to their sessions first: then nobody is a stranger. */
  async start(): Promise<void> {
    const { sessions, perSecond, random } = this.#deps
    for (const session of sessions) {
      await Promise.all((this.#circles.get(session.id) ?? []).map((person) => this.#write(session, person)))
    }
    let last = performance.now()
    this.#timer = setInterval(() => {
      const now = performance.now()
      const owed = ((now - last) / 1_000) * perSecond
      last = now
      this.#due += owed
      this.#allowed = Math.min(this.#allowed + owed * catchUp, perSecond)
      for (; this.#due >= 1 && this.#allowed >= 1; this.#allowed -= 1) {
        if (this.#begin(random.next() < inboundPart ? 'inbound' : 'outbound')) this.#due -= 1
      }
    }, tickMs)
  }

  /** Begins nothing more; resolves when every request has its answer, or none will come. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#pending)
  }

  /** Gives up at once what is not answered yet. */
  abandon(): void {
    this.#isPatient = false
  }

  /** To a phone that has never written to this session. */
  sendToStranger(session: ChaosSession, phoneNumber: string): void {
    this.#track(this.#send(session, phoneNumber, true))
  }

  /** False when nobody is free for it. */
  #begin(direction: 'inbound' | 'outbound'): boolean {
    const { sessions, random } = this.#deps
    // One request at a time for a session: order is promised for what was asked for after the answer.
    const free = direction === 'inbound' ? sessions : sessions.filter(({ id }) => !this.#busy.has(id))
    if (free.length === 0) return false
    const session = random.pick(free)
    const isToSelf = direction === 'outbound' && random.next() < toSelfPart
    const person = isToSelf ? session.phoneNumber : random.pick(this.#circles.get(session.id) ?? [])
    if (direction === 'inbound') {
      this.#track(this.#write(session, person))
      return true
    }
    this.#busy.add(session.id)
    this.#track(this.#send(session, person, false).finally(() => this.#busy.delete(session.id)))
    return true
  }

  #track(work: Promise<void>): void {
    const pending = work.finally(() => this.#pending.delete(pending))
    this.#pending.add(pending)
  }

  /** Markers rise for each session and phone, so that phones see disorder by themselves too. */
  #text(session: ChaosSession, person: string): string {
    const key = `${session.id} ${person}`
    const n = (this.#counters.get(key) ?? 0) + 1
    this.#counters.set(key, n)
    return `s${session.index} #${n}`
  }

  async #send(session: ChaosSession, recipient: string, isStranger: boolean): Promise<void> {
    this.#lastKey += 1
    const idempotencyKey = `chaos-${this.#lastKey}`
    const text = this.#text(session, recipient)
    const requestedAt = Date.now()
    const attempts: Attempt[] = []
    while (Date.now() - requestedAt < patienceMs && this.#isPatient) {
      const at = Date.now()
      try {
        const message = await session.api.sendText(`+${recipient}`, text, { idempotencyKey })
        attempts.push({ at, outcome: 'accepted' })
        this.#keep(session, message, { recipient, requestedAt, isStranger }, attempts)
        return
      } catch (error) {
        const outcome = error instanceof Error ? error.message : String(error)
        attempts.push({ at, outcome })
        if (!mayRepeat(error)) {
          this.refused.push({ sessionId: session.id, text: outcome })
          return
        }
        await sleep(pauseMs)
      }
    }
    const text_ = `${idempotencyKey} was never answered: ${attempts.at(-1)?.outcome ?? 'nothing was tried'}`
    this.refused.push({ sessionId: session.id, text: text_ })
  }

  #keep(
    session: ChaosSession,
    message: MessageResource,
    about: Pick<AcceptedMessage, 'recipient' | 'requestedAt' | 'isStranger'>,
    attempts: Attempt[],
  ): void {
    const { id: messageId, whatsappId } = message
    this.attempts.set(messageId, attempts)
    this.accepted.push({
      ...about,
      messageId,
      whatsappId,
      sessionId: session.id,
      lane: 'normal',
      acceptedAt: Date.now(),
      isToSelf: about.recipient === session.phoneNumber,
    })
  }

  async #write(session: ChaosSession, phone: string): Promise<void> {
    const from = Date.now()
    try {
      const { id } = await this.#deps.sandbox.sendFrom(phone, { to: session.phoneNumber, text: `to s${session.index}` })
      this.inbound.push({ whatsappId: id, sessionId: session.id, phone, from, until: Date.now() })
    } catch (error) {
      this.refused.push({ sessionId: session.id, text: `${phone} could not write: ${String(error)}` })
    }
  }
}

/** No answer, or one that says: again, with the same key. */
function mayRepeat(error: unknown): boolean {
  if (!(error instanceof ApiError)) return true
  return error.problem.status === 429 || error.problem.status === 503
}
