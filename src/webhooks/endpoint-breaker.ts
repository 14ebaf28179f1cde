// One circuit breaker per endpoint: opossum judges the failures this process sees, Redis holds what the whole fleet goes by.
import { EventEmitter } from 'node:events'
import { LRUCache } from 'lru-cache'
import CircuitBreaker from 'opossum'
import { withDeadline } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { BreakerSettings, BreakerStates } from './breaker-state.ts'
import type { BreakerView } from './endpoint-view.ts'

type Attempt = () => Promise<unknown>

interface Entry {
  circuit: CircuitBreaker<[Attempt]>
  openUntil: number
  failureCount: number
  readAt: number
  reading: Promise<void> | null
}

/** Carries a result that counts as a failure through opossum, which only knows rejections. */
class CountedFailure extends Error {
  readonly result: unknown
  constructor(result: unknown) {
    super('counted failure')
    this.result = result
  }
}

const maxBreakers = 2_000
const freshMs = 1_000
const redisDeadlineMs = 2_000
const bucketMs = 3_000
export const breakerDefaults: BreakerSettings = { failureLimit: 5, openMs: 10_000, maxOpenMs: 120_000, probeMs: 20_000 }

export class EndpointBreakers {
  private readonly states: BreakerStates
  private readonly log: Log
  private readonly settings: BreakerSettings
  /** Turns the windows of all breakers with one timer; a timer each would cost 4 % of a core for 2,000 idle ones. */
  private readonly rotation = new EventEmitter().setMaxListeners(0)
  private readonly rotationTimer: NodeJS.Timeout
  private readonly entries = new LRUCache<string, Entry>({
    max: maxBreakers,
    dispose: (entry) => entry.circuit.shutdown(),
  })

  constructor(deps: { states: BreakerStates; log: Log }, settings: BreakerSettings = breakerDefaults) {
    this.states = deps.states
    this.log = deps.log
    this.settings = settings
    this.rotationTimer = setInterval(() => this.rotation.emit('rotate'), bucketMs)
    this.rotationTimer.unref()
  }

  /** The time before which no attempt may be made; 0 when one may. At most a second old. */
  async blockedUntil(endpointId: string): Promise<number> {
    const entry = await this.fresh(endpointId)
    return entry.openUntil > Date.now() ? entry.openUntil : 0
  }

  /** As the fleet knows it, for `endpointView`; null where Redis cannot be asked. */
  async view(endpointId: string): Promise<BreakerView | null> {
    return withDeadline(this.states.view(endpointId), redisDeadlineMs).catch(() => null)
  }

  /** Nobody tries it any more: an open breaker would be told of for an hour. */
  async switchOff(endpointId: string): Promise<void> {
    const entry = this.entries.get(endpointId)
    if (entry) this.closeLocally(entry)
    await this.share(endpointId, () => this.states.switchOff(endpointId))
  }

  /**
   * Runs an attempt unless the breaker is open. When its time is over, the fleet lets one attempt through: its success closes the
   * breaker, its failure opens it for longer. What `attempt` throws counts as nothing and is thrown on.
   */
  async run<T>(
    endpointId: string,
    attempt: () => Promise<T>,
    isFailure: (result: T) => boolean,
  ): Promise<{ ran: true; result: T } | { ran: false; until: number }> {
    const entry = await this.fresh(endpointId)
    let isProbe = false
    if (entry.openUntil > 0) {
      const now = Date.now()
      if (entry.openUntil > now) return { ran: false, until: entry.openUntil }
      const { may, until } = await withDeadline(this.states.tryProbe(endpointId, now, this.settings.probeMs), redisDeadlineMs)
      if (may === 'blocked') return { ran: false, until: Math.min(until, now + freshMs) }
      isProbe = may === 'probe'
      if (isProbe) this.replaceCircuit(entry, true)
      else this.closeLocally(entry)
    }
    try {
      const result = (await entry.circuit.fire(async () => {
        const value = await attempt()
        if (isFailure(value)) throw new CountedFailure(value)
        return value
      })) as T
      await this.succeeded(endpointId, entry, isProbe)
      return { ran: true, result }
    } catch (error) {
      if (error instanceof CountedFailure) {
        await this.failed(endpointId, entry)
        return { ran: true, result: error.result as T }
      }
      if (isProbe) await this.share(endpointId, () => this.states.abandonProbe(endpointId))
      if (CircuitBreaker.isOurError(error as Error)) return { ran: false, until: Date.now() + freshMs }
      throw error
    }
  }

  close(): void {
    clearInterval(this.rotationTimer)
    this.entries.clear()
  }

  private async succeeded(endpointId: string, entry: Entry, wasProbe: boolean): Promise<void> {
    if (!wasProbe && entry.failureCount === 0) return
    if (wasProbe) {
      this.closeLocally(entry)
      this.log.info({ endpointId }, 'webhook.breaker_closed')
    }
    entry.failureCount = 0
    await this.share(endpointId, () => this.states.succeed(endpointId, wasProbe))
  }

  private async failed(endpointId: string, entry: Entry): Promise<void> {
    await this.share(endpointId, async () => {
      const now = Date.now()
      const wasOpenUntil = entry.openUntil
      const state = await this.states.fail(endpointId, now, this.settings, entry.circuit.opened)
      Object.assign(entry, state, { readAt: now })
      if (state.openUntil <= now) return
      entry.circuit.open()
      if (state.openUntil !== wasOpenUntil) {
        this.log.warn({ endpointId, failureCount: state.failureCount, openMs: state.openUntil - now }, 'webhook.breaker_opened')
      }
    })
  }

  /** An attempt is not lost because its outcome could not be told to the fleet. */
  private async share(endpointId: string, tell: () => Promise<void>): Promise<void> {
    try {
      await withDeadline(tell(), redisDeadlineMs)
    } catch (err) {
      this.log.warn({ err, endpointId }, 'webhook.breaker_not_shared')
    }
  }

  private async fresh(endpointId: string): Promise<Entry> {
    const entry = this.entries.get(endpointId) ?? this.addEntry(endpointId)
    if (Date.now() - entry.readAt < freshMs) return entry
    entry.reading ??= this.refresh(endpointId, entry).finally(() => {
      entry.reading = null
    })
    await entry.reading
    return entry
  }

  private async refresh(endpointId: string, entry: Entry): Promise<void> {
    await this.share(endpointId, async () => {
      const { failureCount, openUntil } = await this.states.read(endpointId)
      Object.assign(entry, { failureCount, openUntil })
      if (openUntil > Date.now()) entry.circuit.open()
      else if (openUntil === 0 && entry.circuit.opened) this.closeLocally(entry)
    })
    entry.readAt = Date.now()
  }

  private addEntry(endpointId: string): Entry {
    const entry: Entry = { circuit: this.makeCircuit(false), openUntil: 0, failureCount: 0, readAt: 0, reading: null }
    this.entries.set(endpointId, entry)
    return entry
  }

  private closeLocally(entry: Entry): void {
    entry.openUntil = 0
    this.replaceCircuit(entry, false)
  }

  /** opossum leaves the open state by its own clock only; the fleet's decision therefore starts a new one. */
  private replaceCircuit(entry: Entry, isHalfOpen: boolean): void {
    entry.circuit.shutdown()
    entry.circuit = this.makeCircuit(isHalfOpen)
  }

  private makeCircuit(isHalfOpen: boolean): CircuitBreaker<[Attempt]> {
    return new CircuitBreaker((attempt: Attempt) => attempt(), {
      timeout: false, // the request bounds itself
      resetTimeout: 2 ** 31 - 1,
      volumeThreshold: this.settings.failureLimit * 2,
      errorThresholdPercentage: 50,
      rollingCountTimeout: bucketMs * 10,
      rollingCountBuckets: 10,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      rotateBucketController: this.rotation,
      errorFilter: (error) => !(error instanceof CountedFailure),
      ...(isHalfOpen
        ? {
            state: {
              enabled: true,
              closed: false,
              halfOpen: true,
              open: false,
              warmUp: false,
              shutdown: false,
              name: 'endpoint',
            },
          }
        : {}),
    })
  }
}
