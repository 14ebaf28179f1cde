// What this worker holds: claims its part of the sessions, runs them, gives some away when others have too few, and all of them at its end.
import type { Redis } from 'ioredis'
import { monotonicMs, withDeadline } from '../platform/clock.ts'
import { endHeartbeat, restoreLeases } from '../sessions/lease-scripts.ts'
import type { Lease } from '../sessions/lease.ts'
import { offerSessions, type WakeReason } from '../sessions/live-session.ts'
import { claimChannel, takeoversKey, wakeChannel } from '../sessions/session-keys.ts'
import { reportTraffic } from '../sessions/traffic-report.ts'
import { processOf, WorkerHeartbeat, type LivingWorker, type WorkerView } from '../sessions/worker-heartbeat.ts'
import { ClaimRounds } from './claim-rounds.ts'
import { DeathWatch, findLeftovers, removeSockets } from './death-notice.ts'
import { giveAway, preferredWorker } from './fair-share.ts'
import { FleetMeter, leasesClaimed, takeoverCount, trustLost } from './fleet-metrics.ts'
import { handOver } from './hand-over.ts'
import { SessionRunner, type RunnerDeps } from './session-runner.ts'

export interface FleetDeps extends RunnerDeps {
  /** For pub/sub only. */
  subscriber: Redis
  hostId: string
  bootId: string
  /** Where this process listens until its death. */
  deathSocket: string
  capacity: number
  version: string
}

/** Rounds between two reports of traffic. */
const roundsPerReport = 3
/** At the end: what a claim under way may take. */
const claimsMs = 2_000

export class Fleet {
  readonly #deps: FleetDeps
  readonly #runners = new Map<string, SessionRunner>()
  readonly #heartbeat: WorkerHeartbeat
  readonly #claims: ClaimRounds
  readonly #deaths: DeathWatch
  #workers: LivingWorker[] = []
  #round = 0
  /** Sessions being given to a worker that was chosen for them. */
  readonly #moving = new Set<string>()
  #expiryTimer: NodeJS.Timeout | undefined
  #takeoverCount = 0
  readonly #meter = new FleetMeter()
  #isStopping = false

  constructor(deps: FleetDeps) {
    this.#deps = deps
    this.#heartbeat = new WorkerHeartbeat(deps, {
      heldCount: () => this.#runners.size,
      takeoverCount: () => this.#takeoverCount,
      round: (workers) => this.#onRound(workers),
      fenced: (incarnation) => this.#onFenced(incarnation),
      restore: (incarnation) => this.#restore(incarnation),
    })
    this.#claims = new ClaimRounds({
      ...deps,
      sessions: deps.store.sessions,
      heartbeat: this.#heartbeat,
      held: this.#runners,
      workers: () => this.#workers,
      claimed: (lease) => this.#hold(lease),
      waitingCount: () => deps.opens.waiting,
    })
    this.#deaths = new DeathWatch({ ...deps, ownSocket: deps.deathSocket, onDeath: (worker) => this.#bury(worker) })
  }

  get incarnation(): string {
    return this.#heartbeat.incarnation
  }

  /** Sessions held, and how many of them are connected. */
  get load(): { held: number; connected: number } {
    const runners = [...this.#runners.values()]
    return { held: runners.length, connected: runners.filter(({ isConnected }) => isConnected).length }
  }

  async start(): Promise<void> {
    const { subscriber, prefix, deathSocket } = this.#deps
    subscriber.on('message', (channel: string, text: string) => this.#onMessage(channel, text))
    subscriber.on('ready', () => void this.#wakeAll())
    await subscriber.subscribe(claimChannel(prefix))
    const leftovers = await findLeftovers(deathSocket)
    await this.#heartbeat.start()
    // The others are the death watch's: they prove what their heartbeats do not say yet.
    const told = new Set(this.#workers.map((worker) => worker.deathSocket))
    await removeSockets(leftovers.filter((path) => !told.has(path)))
  }

  /** Hands everything over and ends the heartbeat. Bounded by about `deadlineMs`. */
  async stop(deadlineMs: number): Promise<void> {
    this.#isStopping = true
    const deadlineAt = monotonicMs() + deadlineMs
    const { log, subscriber, redis, prefix, deathSocket } = this.#deps
    const claimsClosed = this.#claims.close()
    await this.#heartbeat.drain().catch((err: unknown) => log.debug({ err }, 'heartbeat.failed'))
    await withDeadline(claimsClosed, claimsMs).catch((err: unknown) => log.warn({ err }, 'claim.left_behind'))
    const others = this.#workers.filter((worker) => !worker.draining && worker.incarnation !== this.incarnation)
    await handOver({ redis, prefix, log }, [...this.#runners.values()], {
      deadlineAt,
      receiverOf: (sessionId) => preferredWorker(sessionId, others),
    })
    clearTimeout(this.#expiryTimer)
    this.#deaths.close()
    if (await this.#heartbeat.end()) await removeSockets([deathSocket])
    this.#meter.holds(this.load, 0)
    subscriber.removeAllListeners('message')
  }

  #hold(lease: Lease): void {
    const { sessionId } = lease
    const { subscriber, prefix, log } = this.#deps
    const orphanedAt = isTakeover(lease) ? this.#meter.lastHeardOf(lease.takenFrom) : null
    const runner = new SessionRunner(this.#deps, lease, orphanedAt)
    this.#runners.set(sessionId, runner)
    log.info({ sessionId, epoch: lease.epoch }, 'lease.claimed')
    leasesClaimed.inc()
    if (isTakeover(lease)) this.#countTakeover()
    const channel = wakeChannel(prefix, sessionId)
    // What was published before the subscription stood is made up for by looking once.
    subscriber.subscribe(channel).then(
      () => this.#wake(runner),
      (err: unknown) => log.debug({ err, sessionId }, 'wake.not_subscribed'),
    )
    void this.#untilDone(runner)
  }

  #countTakeover(): void {
    this.#takeoverCount += 1
    takeoverCount.inc()
    const { redis, prefix, log } = this.#deps
    redis.incr(takeoversKey(prefix)).catch((err: unknown) => log.debug({ err }, 'takeover.not_counted'))
  }

  async #untilDone(runner: SessionRunner): Promise<void> {
    await runner.done
    const { sessionId, lease } = runner
    this.#runners.delete(sessionId)
    this.#deps.log.info({ sessionId, epoch: lease.epoch, closedForMs: runner.closedForMs }, 'lease.released')
    this.#deps.subscriber.unsubscribe(wakeChannel(this.#deps.prefix, sessionId)).catch(() => undefined)
    if (!this.#isStopping) await this.#claimAgain(sessionId)
  }

  /** A request of the user that came while the session was being given up has nobody to carry it out. */
  async #claimAgain(sessionId: string): Promise<void> {
    try {
      const session = await this.#deps.store.sessions.get(sessionId)
      if (session?.claimable && !this.#moving.has(sessionId)) this.#claims.offered({ sessionIds: [sessionId] })
    } catch (err) {
      this.#deps.log.debug({ err, sessionId }, 'claim.not_looked')
    }
  }

  #onMessage(channel: string, text: string): void {
    const { prefix } = this.#deps
    if (channel === claimChannel(prefix)) {
      this.#claims.offered(JSON.parse(text) as { sessionIds: string[]; preferred?: string })
      return
    }
    const sessionId = channel.slice(wakeChannel(prefix, '').length)
    this.#runners.get(sessionId)?.wake(text as WakeReason)
  }

  /** The subscriber was away: anything may have been published meanwhile. */
  async #wakeAll(): Promise<void> {
    try {
      await this.#deps.subscriber.ping()
    } catch {
      return
    }
    for (const runner of this.#runners.values()) this.#wake(runner)
    this.#claims.sweepNow()
  }

  #wake(runner: SessionRunner): void {
    for (const reason of ['intent', 'settings', 'message', 'command'] as const) runner.wake(reason)
  }

  #onRound(workers: LivingWorker[]): void {
    const before = this.#workers
    this.#workers = workers
    this.#round += 1
    this.#deaths.round(workers)
    this.#meter.heard(workers, this.#deps.ttlMs)
    this.#meter.holds(this.load, this.#deps.opens.waiting)
    this.#expectExpiry()
    const present = new Set(workers.map(({ incarnation }) => incarnation))
    // With others alive the first claim waits a round: they learn of this worker, and shares are computed with it.
    const isFirstClaim = this.#round === (workers.length > 1 ? 2 : 1)
    if (isFirstClaim || before.some(({ incarnation }) => !present.has(incarnation))) this.#claims.sweepNow()
    if (this.#round % roundsPerReport === 0) void this.#reportTraffic()
    if (!this.#isStopping) this.#rebalance()
  }

  /** A neighbour that is not heard of in time is looked for at that time, not at the next round. */
  #expectExpiry(): void {
    clearTimeout(this.#expiryTimer)
    const others = this.#workers.filter(({ incarnation }) => incarnation !== this.incarnation)
    if (others.length === 0 || this.#isStopping) return
    const waitMs = Math.max(0, Math.min(...others.map(({ ttlLeftMs }) => ttlLeftMs))) + 10
    this.#expiryTimer = setTimeout(() => void this.#heartbeat.lookNow(), waitMs)
  }

  #onFenced(incarnation: string): void {
    trustLost.inc()
    for (const runner of this.#runners.values()) if (runner.lease.incarnation === incarnation) runner.fence('trust_lost')
    this.#workers = []
    this.#round = 0
  }

  async #restore(incarnation: string): Promise<void> {
    const runners = [...this.#runners.values()].filter(({ lease }) => lease.incarnation === incarnation)
    const refused = await restoreLeases(
      this.#deps,
      incarnation,
      runners.map(({ lease }) => lease),
    )
    const isLost = new Set(refused.map(({ sessionId }) => sessionId))
    for (const runner of runners) {
      if (isLost.has(runner.sessionId)) runner.fence('superseded')
      else runner.restored()
    }
    this.#claims.sweepNow()
  }

  /** With proof of its death nobody needs to wait for its heartbeat to run out. */
  async #bury(worker: WorkerView): Promise<boolean> {
    this.#workers = this.#workers.filter(({ deathSocket }) => deathSocket !== worker.deathSocket)
    const fields = { incarnation: worker.incarnation, workerPid: worker.pid }
    let isBuried = true
    try {
      // One that ended cleanly has said so itself.
      if (await endHeartbeat(this.#deps, worker.incarnation)) this.#deps.log.warn(fields, 'worker.found_dead')
    } catch (err) {
      isBuried = false
      this.#deps.log.warn({ ...fields, err }, 'worker.not_buried')
    }
    this.#claims.sweepNow()
    return isBuried
  }

  #rebalance(): void {
    const me = this.#workers.find(({ incarnation }) => incarnation === this.incarnation)
    if (!me || this.#moving.size > 0) return
    const receivers = giveAway({ ...me, held: this.#runners.size }, this.#workers, this.#claims.total)
    if (receivers.length === 0) return
    const free = [...this.#runners.values()].filter(({ isMovable }) => isMovable)
    for (const receiver of receivers) {
      const runner = pickFor(receiver, free, this.#workers)
      if (!runner) return
      free.splice(free.indexOf(runner), 1)
      void this.#move(runner, receiver)
    }
  }

  async #move(runner: SessionRunner, receiver: string): Promise<void> {
    const { redis, prefix, log } = this.#deps
    this.#moving.add(runner.sessionId)
    try {
      await runner.release()
      await offerSessions(redis, prefix, [runner.sessionId], receiver)
      log.info({ sessionId: runner.sessionId, receiver }, 'lease.moved')
    } catch (err) {
      log.debug({ err, sessionId: runner.sessionId }, 'lease.not_offered')
    } finally {
      this.#moving.delete(runner.sessionId)
    }
  }

  /** When each socket last heard of WhatsApp: one command for all, every few rounds. */
  async #reportTraffic(): Promise<void> {
    const { ttlMs, log } = this.#deps
    const offset = Date.now() - monotonicMs()
    const times = new Map<string, number>()
    for (const { sessionId, lastTrafficAt } of this.#runners.values()) {
      if (lastTrafficAt !== null) times.set(sessionId, Math.round(lastTrafficAt + offset))
    }
    try {
      await reportTraffic(this.#deps, this.incarnation, times, ttlMs * roundsPerReport)
    } catch (err) {
      log.debug({ err }, 'traffic.not_reported')
    }
  }
}

/** Leases that this process itself lost for a moment are not taken from anybody. */
function isTakeover({ takenFrom, incarnation }: Lease): boolean {
  return takenFrom !== null && processOf(takenFrom) !== processOf(incarnation)
}

/** Not yet connected ones first, then those that the receiver should hold anyway, then the quietest. */
function pickFor(receiver: string, free: SessionRunner[], workers: readonly WorkerView[]): SessionRunner | undefined {
  const cost = (runner: SessionRunner) =>
    (runner.isConnected ? 2 : 0) + (preferredWorker(runner.sessionId, workers) === receiver ? 0 : 1)
  return free.toSorted((a, b) => cost(a) - cost(b) || (a.lastTrafficAt ?? 0) - (b.lastTrafficAt ?? 0))[0]
}
