// A worker's heartbeat: renewed every third of its TTL with one command; on it hang all the leases of the worker.
import { randomBytes } from 'node:crypto'
import { monotonicMs, withDeadline } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import { endHeartbeat, renewHeartbeat, type LeaseDeps } from './lease-scripts.ts'
import type { Trust } from './lease.ts'

/** What a worker says about itself with each heartbeat. */
export interface WorkerView {
  incarnation: string
  hostId: string
  /** The kernel's boot id: process ids and sockets of another boot prove nothing. */
  bootId: string
  pid: number
  /** Unix socket that the process listens on for as long as it lives. */
  deathSocket: string
  capacity: number
  held: number
  /** Sessions taken over from workers that died, since this process started. */
  takeovers: number
  /** Gives its sessions away and takes none. */
  draining: boolean
  version: string
  /** Milliseconds since the epoch. */
  startedAt: number
}

/** `ttlLeftMs`: after that it counts as dead, unless it is heard of before. */
export type LivingWorker = WorkerView & { ttlLeftMs: number }

export interface HeartbeatDeps extends LeaseDeps {
  log: Log
  hostId: string
  bootId: string
  deathSocket: string
  capacity: number
  version: string
}

export interface HeartbeatEvents {
  /** Sessions held now, for the heartbeat. */
  heldCount(): number
  takeoverCount(): number
  /** Each renewal is a round; `workers` includes this one. Must not throw. */
  round(workers: LivingWorker[]): void
  /** Trust has run out: close every socket now. The incarnation whose leases are void is passed. Must not throw. */
  fenced(incarnation: string): void
  /** Redis may have lost our leases: put them back and give up those it refuses. Rejects when Redis does not answer. */
  restore(incarnation: string): Promise<void>
}

/** An incarnation without how often trust was lost: the same for as long as the process lives. */
export function processOf(incarnation: string): string {
  return incarnation.slice(0, incarnation.lastIndexOf('.'))
}

/** Part of the TTL that is not used: the time between the last look at the clock and the byte on the wire, and clocks that run apart. */
const marginOfTtl = 0.1

export class WorkerHeartbeat implements Trust {
  readonly #deps: HeartbeatDeps
  readonly #events: HeartbeatEvents
  readonly #startedAt = Date.now()
  readonly #processPart: string
  #generation = 0
  #incarnation: string
  #previous: string | undefined
  #run: string | undefined
  #mustRestore = false
  #restoreCount = 0
  #isRegistered = false
  #isDraining = false
  #trustedUntil = 0
  /** The same on the wall clock, because the monotonic one stands still while a machine is suspended. */
  #trustedUntilWall = 0
  #fenceTimer: NodeJS.Timeout | undefined
  #beatTimer: NodeJS.Timeout | undefined
  #beating: Promise<void> | undefined
  #failures = 0
  #isClosed = false

  constructor(deps: HeartbeatDeps, events: HeartbeatEvents) {
    this.#deps = deps
    this.#events = events
    const host = deps.hostId.replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, 60)
    this.#processPart = `${host}-${process.pid}-${this.#startedAt.toString(36)}-${randomBytes(6).toString('hex')}`
    this.#incarnation = `${this.#processPart}.0`
  }

  /** Host, pid, start time, random, and how often trust was lost: never used twice, so that old leases stay void. */
  get incarnation(): string {
    return this.#incarnation
  }

  isTrusted(): boolean {
    return this.#isRegistered && monotonicMs() < this.#trustedUntil && Date.now() < this.#trustedUntilWall
  }

  /** How often leases were put back. A claim under way meanwhile was not among them, and must not become a lease. */
  get restoreCount(): number {
    return this.#restoreCount
  }

  /** Trust for leases of the present incarnation only: a later one does not revive them. */
  trustOfPresent(): Trust {
    const generation = this.#generation
    return { isTrusted: () => generation === this.#generation && this.isTrusted() }
  }

  /** Resolves after the first heartbeat has landed. @throws what Redis answers when it is away. */
  async start(): Promise<void> {
    await this.#beat()
    this.#schedule(this.#deps.ttlMs / 3)
  }

  /** A round now, out of turn: a neighbour seems to be gone. A failure is the regular renewal's to deal with. */
  async lookNow(): Promise<void> {
    await this.#beating?.catch(() => undefined)
    if (!this.#isClosed) await this.#beat().catch((err: unknown) => this.#deps.log.debug({ err }, 'heartbeat.failed'))
  }

  /** Tells the fleet at once that this worker takes no more sessions. */
  async drain(): Promise<void> {
    this.#isDraining = true
    await this.#beating?.catch(() => undefined)
    await this.#beat()
  }

  /** After everything has been released. Bounded; false: without Redis the heartbeat runs out by itself. */
  async end(): Promise<boolean> {
    this.#isClosed = true
    clearTimeout(this.#beatTimer)
    clearTimeout(this.#fenceTimer)
    await this.#beating?.catch(() => undefined)
    this.#isRegistered = false
    try {
      await withDeadline(endHeartbeat(this.#deps, this.#incarnation), 1_000)
      return true
    } catch (err) {
      this.#deps.log.debug({ err }, 'heartbeat.end_failed')
      return false
    }
  }

  #schedule(ms: number): void {
    if (this.#isClosed) return
    this.#beatTimer = setTimeout(() => void this.#nextBeat(), ms)
  }

  async #nextBeat(): Promise<void> {
    const { log, ttlMs, redis } = this.#deps
    try {
      this.#beating = this.#beat()
      await this.#beating
      if (this.#failures > 0) log.info({ failures: this.#failures }, 'heartbeat.recovered')
      this.#failures = 0
      this.#schedule(ttlMs / 3)
    } catch (err) {
      this.#failures += 1
      if (this.#failures === 1) log.warn({ err }, 'heartbeat.failed')
      // A connection may be dead without knowing it: commands time out on it for ever.
      if (this.#failures % 3 === 0 && redis.status === 'ready') redis.disconnect(true)
      this.#schedule(Math.min(250, ttlMs / 12))
    }
  }

  async #beat(): Promise<void> {
    const before = monotonicMs()
    const beforeWall = Date.now()
    this.#fenceIfLate()
    const incarnation = this.#incarnation
    const renewal = renewHeartbeat(this.#deps, {
      incarnation,
      value: JSON.stringify(this.#view()),
      previous: this.#previous,
    })
    const { existed, run, alive } = await withDeadline(renewal, Math.max(250, this.#deps.ttlMs / 3), 'redis_unavailable')
    this.#fenceIfLate()
    if (incarnation !== this.#incarnation) throw new Error('the heartbeat came too late; a new incarnation follows')
    this.#previous = undefined
    if (this.#isRegistered && (!existed || run !== this.#run)) this.#mustRestore = true
    this.#run = run
    if (this.#mustRestore) {
      // Trust is not prolonged before the leases stand in Redis again: until then the old time limit holds.
      this.#deps.log.warn({ incarnation }, 'lease.restoring')
      this.#restoreCount += 1
      await this.#events.restore(incarnation)
      this.#mustRestore = false
      this.#fenceIfLate()
      if (incarnation !== this.#incarnation) throw new Error('leases were restored too late; a new incarnation follows')
    }
    this.#isRegistered = true
    const trustMs = this.#deps.ttlMs * (1 - marginOfTtl)
    this.#trustedUntil = before + trustMs
    this.#trustedUntilWall = beforeWall + trustMs
    clearTimeout(this.#fenceTimer)
    this.#fenceTimer = setTimeout(() => this.#fenceIfLate(), Math.max(0, this.#trustedUntil - monotonicMs()) + 1)
    this.#events.round(alive.map(({ value, ttlLeftMs }) => ({ ...(JSON.parse(value) as WorkerView), ttlLeftMs })))
  }

  /** Past the limit every lease is void, whatever Redis would say. A new incarnation starts with none. */
  #fenceIfLate(): void {
    if (!this.#isRegistered || this.isTrusted()) return
    const voided = this.#incarnation
    this.#isRegistered = false
    this.#mustRestore = false
    this.#previous = voided
    this.#generation += 1
    this.#incarnation = `${this.#processPart}.${this.#generation}`
    clearTimeout(this.#fenceTimer)
    this.#deps.log.error({ incarnation: voided }, 'lease.trust_lost')
    this.#events.fenced(voided)
  }

  #view(): WorkerView {
    const { hostId, bootId, deathSocket, capacity, version } = this.#deps
    return {
      incarnation: this.#incarnation,
      hostId,
      bootId,
      pid: process.pid,
      deathSocket,
      capacity,
      held: this.#events.heldCount(),
      takeovers: this.#events.takeoverCount(),
      draining: this.#isDraining,
      version,
      startedAt: this.#startedAt,
    }
  }
}
