// Finds sessions that nobody holds and claims this worker's part of them: woken by offers, and by a jittered sweep for what was missed.
import { jittered } from '../platform/backoff.ts'
import { monotonicMs } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import { claimSessions } from '../sessions/claim-sessions.ts'
import { readLeaseStates, type LeaseDeps } from '../sessions/lease-scripts.ts'
import type { Lease } from '../sessions/lease.ts'
import { readTraffic } from '../sessions/traffic-report.ts'
import type { LivingWorker, WorkerHeartbeat } from '../sessions/worker-heartbeat.ts'
import type { SessionStore } from '../store/session-store.ts'
import { claimCap, preferredWorker } from './fair-share.ts'
import type { SessionRunner } from './session-runner.ts'

interface ClaimRoundsDeps extends LeaseDeps {
  sessions: Pick<SessionStore, 'get' | 'listClaimable' | 'raiseEpoch'>
  heartbeat: WorkerHeartbeat
  held: ReadonlyMap<string, SessionRunner>
  /** Living workers, this one included; empty before the first heartbeat. */
  workers: () => readonly LivingWorker[]
  claimed: (lease: Lease) => void
  /** Sessions held that wait for their turn to open a socket. */
  waitingCount: () => number
  log: Log
}

interface Deferred {
  /** On the monotonic clock. */
  dueAt: number
  retries: number
  /** Whoever gave it away chose this worker: it takes it even above its part. */
  isNamed: boolean
}

interface Candidate {
  id: string
  epoch: number
  lastEventAt: number | null
}

const sweepMs = 22_500
const sweepJitter = 1 / 3
const page = 500
const batch = 50
/** How long the others leave a session to the worker that should take it. */
const leaveMs = { preferred: 500, named: 1_500 }
const retryMs = 1_000
const maxRetries = 5
/** Nobody claims more than it can connect soon: what would only wait here others may have, such as those that start at this moment. */
const maxWaiting = 32
const waitingMs = 250

export class ClaimRounds {
  readonly #deps: ClaimRoundsDeps
  /** Sessions that somebody should hold, as far as this worker knows. */
  #known = new Set<string>()
  readonly #later = new Map<string, Deferred>()
  #laterTimer: NodeJS.Timeout | undefined
  #nextDueAt = Infinity
  #sweepTimer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()
  #isSweepQueued = false
  /** The next sweep asks for each lease: something has happened. */
  #isSweepExact = false
  #isClosed = false

  constructor(deps: ClaimRoundsDeps) {
    this.#deps = deps
  }

  /** Sessions of the fleet, for even shares. */
  get total(): number {
    const held = this.#deps.workers().reduce((sum, worker) => sum + worker.held, 0)
    return Math.max(this.#known.size, held)
  }

  /** Looks at all claimable sessions now (once, however often it is asked meanwhile), and from then on every 15–30 s. */
  sweepNow(): void {
    this.#isSweepExact = true
    this.#queueSweep()
  }

  #queueSweep(): void {
    if (this.#isClosed || this.#isSweepQueued) return
    this.#isSweepQueued = true
    this.#inOrder('sweep', async () => {
      this.#isSweepQueued = false
      clearTimeout(this.#sweepTimer)
      this.#sweepTimer = setTimeout(() => this.#queueSweep(), jittered(sweepMs, sweepJitter))
      const isExact = this.#isSweepExact
      this.#isSweepExact = false
      await this.#sweep(isExact)
    })
  }

  /** Somebody says that these may be claimed; `preferred` is the worker meant to. */
  offered({ sessionIds, preferred }: { sessionIds: string[]; preferred?: string }): void {
    for (const id of sessionIds) {
      this.#known.add(id)
      const { incarnation } = this.#deps.heartbeat
      const named = preferred ?? preferredWorker(id, this.#deps.workers())
      const waitMs = named === incarnation || named === null ? 0 : preferred ? leaveMs.named : leaveMs.preferred
      this.#defer(id, waitMs, { isNamed: preferred === incarnation })
    }
  }

  /** Claims nothing more; resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#sweepTimer)
    clearTimeout(this.#laterTimer)
    this.#later.clear()
    await this.#running
  }

  #inOrder(what: string, work: () => Promise<void>): void {
    this.#running = this.#after(this.#running, what, work)
  }

  async #after(before: Promise<void>, what: string, work: () => Promise<void>): Promise<void> {
    await before
    if (this.#isClosed) return
    try {
      await work()
    } catch (err) {
      this.#deps.log.warn({ err, what }, 'claim.interrupted')
      clearTimeout(this.#sweepTimer)
      this.#sweepTimer = setTimeout(() => this.sweepNow(), jittered(2_000, 0.5))
    }
  }

  async #sweep(isExact: boolean): Promise<void> {
    const { sessions, held, heartbeat, workers } = this.#deps
    const known = new Set<string>()
    const candidates: Candidate[] = []
    for (let afterId = ''; ;) {
      const rows = await sessions.listClaimable({ afterId, limit: page })
      for (const row of rows) {
        known.add(row.id)
        const runner = held.get(row.id)
        if (runner) runner.notice(row.intent)
        else candidates.push(row)
      }
      const last = rows.at(-1)
      if (!last || rows.length < page) break
      afterId = last.id
    }
    this.#known = known
    const free = await this.#onlyFree(isExact ? candidates : await this.#unreported(candidates))
    const mine = free.filter(({ id }) => preferredWorker(id, workers()) === heartbeat.incarnation)
    const isMine = new Set(mine.map(({ id }) => id))
    for (const { id } of free) if (!isMine.has(id)) this.#defer(id, leaveMs.preferred)
    await this.#claim(mine)
  }

  /**
   * Without what a living worker reports it holds. The report may be some seconds old: a session it has just given to one that died since is in
   * it still. So this spares commands where nothing is known to have happened, and nowhere else.
   */
  async #unreported(candidates: Candidate[]): Promise<Candidate[]> {
    const { workers, heartbeat } = this.#deps
    const others = workers().map(({ incarnation }) => incarnation)
    const reported = await readTraffic(
      this.#deps,
      others.filter((incarnation) => incarnation !== heartbeat.incarnation),
    )
    return candidates.filter(({ id }) => !reported.has(id))
  }

  async #onlyFree<T extends { id: string }>(candidates: T[]): Promise<T[]> {
    const { heartbeat, held } = this.#deps
    const strange = candidates.filter(({ id }) => !held.has(id))
    const ids = strange.map(({ id }) => id)
    const states = await readLeaseStates(this.#deps, heartbeat.incarnation, ids)
    return strange.filter((_, index) => states[index] !== 'held')
  }

  #defer(id: string, waitMs: number, { retries = 0, isNamed = false }: Partial<Deferred> = {}): void {
    if (this.#isClosed || this.#deps.held.has(id)) return
    this.#later.set(id, { dueAt: monotonicMs() + jittered(waitMs, 0.1), retries, isNamed })
    this.#schedule()
  }

  #schedule(): void {
    let next = Infinity
    for (const { dueAt } of this.#later.values()) next = Math.min(next, dueAt)
    if (next === this.#nextDueAt) return
    this.#nextDueAt = next
    clearTimeout(this.#laterTimer)
    if (next === Infinity) return
    this.#laterTimer = setTimeout(
      () => {
        this.#nextDueAt = Infinity
        this.#inOrder('claim', () => this.#claimDue())
      },
      Math.max(0, next - monotonicMs()),
    )
  }

  async #claimDue(): Promise<void> {
    const now = monotonicMs()
    const due = [...this.#later].filter(([, { dueAt }]) => dueAt <= now + 5)
    for (const [id] of due) this.#later.delete(id)
    const free = await this.#onlyFree(due.map(([id]) => ({ id })))
    const candidates: Candidate[] = []
    for (const { id } of free) {
      const session = await this.#deps.sessions.get(id)
      if (session?.claimable) candidates.push(session)
      else this.#known.delete(id)
    }
    await this.#claim(candidates, new Map(due))
    this.#schedule()
  }

  /** Those with recent traffic first. What is above this worker's part it leaves, and looks again soon whether the others took it. */
  async #claim(wanted: Candidate[], deferred?: ReadonlyMap<string, Deferred>): Promise<void> {
    const { held, workers, heartbeat, waitingCount, log } = this.#deps
    const me = workers().find(({ incarnation }) => incarnation === heartbeat.incarnation)
    if (!me || wanted.length === 0) return
    const isNamed = ({ id }: Candidate) => deferred?.get(id)?.isNamed === true
    const ordered = wanted.toSorted(
      (a, b) => Number(isNamed(b)) - Number(isNamed(a)) || (b.lastEventAt ?? 0) - (a.lastEventAt ?? 0),
    )
    const cap = Math.max(claimCap(me, workers(), this.total), held.size + wanted.filter(isNamed).length)
    const room = Math.max(0, Math.min(cap, me.capacity) - held.size)
    const soon = Math.min(room, Math.max(0, maxWaiting - waitingCount()))
    for (let at = 0; at < Math.min(soon, ordered.length) && !this.#isClosed; at += batch) {
      const part = ordered.slice(at, Math.min(at + batch, soon))
      const { again } = await claimSessions(this.#deps, part)
      for (const id of again) this.#defer(id, retryMs)
    }
    for (const session of ordered.slice(soon, room)) this.#defer(session.id, waitingMs, { isNamed: isNamed(session) })
    const left = ordered.slice(room)
    for (const { id } of left) {
      const retries = (deferred?.get(id)?.retries ?? 0) + 1
      if (retries <= maxRetries) this.#defer(id, retryMs, { retries })
    }
    if (left.length > 0 && held.size >= me.capacity) log.warn({ unheldCount: left.length, capacity: me.capacity }, 'fleet.full')
  }
}
