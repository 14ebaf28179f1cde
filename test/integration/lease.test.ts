// Ownership on a real Redis: whatever the order of claims, deaths, data losses and returns, nobody trusts a session beside another.
import * as fc from 'fast-check'
import type { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { claimSessions } from '../../src/sessions/claim-sessions.ts'
import { endHeartbeat, releaseLeases, renewHeartbeat, restoreLeases } from '../../src/sessions/lease-scripts.ts'
import type { Lease } from '../../src/sessions/lease.ts'
import { fleetRunKey, leaseKey, quarantineKey, workerKey } from '../../src/sessions/session-keys.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'

const log = pino({ level: 'silent' })
let server: TestRedis
let redis: Redis
beforeAll(async () => {
  server = await startTestRedis()
  redis = connectRedis(server.target, 'producer', log)
  await waitFor('Redis', () => redis.status === 'ready')
})
afterAll(async () => {
  await closeRedis(redis)
  await server.close()
})

const sessions = ['ses_a', 'ses_b', 'ses_c'] as const
const names = ['w0', 'w1', 'w2'] as const
type Name = (typeof names)[number]
type WorkerStep = 'renew' | 'lapse' | 'claim' | 'finish_claim' | 'abandon_claim' | 'release' | 'die'
type Step =
  | { do: WorkerStep; worker: Name }
  | { do: 'empty' | 'quarantine_ends' }
  | { do: 'roll_back'; session: (typeof sessions)[number] }

const by = <D extends WorkerStep>(weight: number, ...does: D[]) => ({
  weight,
  arbitrary: fc.record({ do: fc.constantFrom(...does), worker: fc.constantFrom(...names) }),
})
const step: fc.Arbitrary<Step> = fc.oneof(
  by(12, 'renew', 'claim', 'finish_claim'),
  by(3, 'lapse', 'release', 'die', 'abandon_claim'),
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('empty' as const, 'quarantine_ends', 'quarantine_ends') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('roll_back' as const), session: fc.constantFrom(...sessions) }) },
)

let runs = 0

/**
 * The fleet, with time replaced by steps: a worker's trust ends (`lapse`) before Redis may forget its heartbeat, as the monotonic clock sees
 * to; the quarantine ends only when all trust from before the loss has ended or was renewed with its leases restored.
 */
class Model {
  readonly prefix = `lease${(runs += 1)}`
  readonly deps = { redis, prefix: this.prefix, ttlMs: 3_600_000 }
  readonly epochs = new Map<string, number>(sessions.map((id) => [id, 0]))
  readonly snapshots = new Map<string, Record<string, string>>()
  readonly workers = new Map<Name, ModelWorker>()
  lossCount = 0
  #stepCount = 0

  worker(name: Name): ModelWorker {
    const known = this.workers.get(name) ?? new ModelWorker(this, name)
    this.workers.set(name, known)
    return known
  }

  async take(next: Step): Promise<void> {
    if ('worker' in next) return this.worker(next.worker)[next.do]()
    if (next.do === 'empty') {
      await this.#deleteAll()
      this.lossCount += 1
    } else if (next.do === 'roll_back') {
      await this.#rollBack(next.session)
    } else {
      if ((await redis.exists(quarantineKey(this.prefix))) === 0) return
      for (const worker of this.workers.values()) if (worker.restoredAt < this.lossCount) await worker.lapse()
      await redis.del(quarantineKey(this.prefix))
    }
  }

  /** Redis restarted without its last writes to this lease. */
  async #rollBack(session: string): Promise<void> {
    const key = leaseKey(this.prefix, session)
    const before = this.snapshots.get(session)
    await redis.del(key)
    if (before && Object.keys(before).length > 0) await redis.hset(key, before)
    await redis.set(fleetRunKey(this.prefix), `another run ${this.lossCount}`)
    this.lossCount += 1
  }

  async #deleteAll(): Promise<void> {
    const keys = await redis.keys(`${this.prefix}:*`)
    if (keys.length > 0) await redis.del(...keys)
  }

  async remember(): Promise<void> {
    for (const id of sessions) {
      if ((this.#stepCount += 1) % 4 === 0) this.snapshots.set(id, await redis.hgetall(leaseKey(this.prefix, id)))
    }
  }

  get leaseCount(): number {
    return [...this.workers.values()].reduce((sum, { leases }) => sum + leases.length, 0)
  }

  faults(): string[] {
    return sessions.flatMap((id) => {
      const trusting = [...this.workers.values()].flatMap((worker) =>
        worker.leases.filter((lease) => lease.sessionId === id && lease.isTrusted()),
      )
      const said = trusting.map(({ incarnation, epoch }) => `${incarnation} trusts ${id} at ${epoch}`)
      if (trusting.length > 1) return said
      return trusting.some(({ epoch }) => epoch !== this.epochs.get(id))
        ? [...said, `but the store has ${this.epochs.get(id)}`]
        : []
    })
  }
}

class ModelWorker {
  leases: Lease[] = []
  restoredAt: number
  restoreCount = 0
  readonly #model: Model
  readonly #name: Name
  #generation = 0
  #isTrusted = false
  #run: string | undefined
  #gate: { open: () => void; done: Promise<void> } | undefined

  constructor(model: Model, name: Name) {
    this.#model = model
    this.#name = name
    this.restoredAt = model.lossCount
  }

  get incarnation(): string {
    return `${this.#name}.${this.#generation}`
  }

  trustOfPresent() {
    const generation = this.#generation
    return { isTrusted: () => this.#isTrusted && generation === this.#generation }
  }

  async renew(): Promise<void> {
    const { existed, run } = await renewHeartbeat(this.#model.deps, { incarnation: this.incarnation, value: '{}' })
    const isLoss = this.#isTrusted && (!existed || run !== this.#run || this.restoredAt < this.#model.lossCount)
    this.#run = run
    if (isLoss) {
      this.restoreCount += 1
      const refused = await restoreLeases(this.#model.deps, this.incarnation, this.leases)
      for (const lease of refused) lease.drop()
      this.leases = this.leases.filter((lease) => !refused.includes(lease))
    }
    this.restoredAt = this.#model.lossCount
    this.#isTrusted = true
  }

  /** Trust ends first, the heartbeat in Redis later or at the same time. */
  async lapse(): Promise<void> {
    const old = this.incarnation
    this.#isTrusted = false
    this.#generation += 1
    this.leases = []
    await redis.del(workerKey(this.#model.prefix, old))
  }

  /** kill -9, with proof. */
  async die(): Promise<void> {
    const old = this.incarnation
    this.#isTrusted = false
    this.#generation += 1
    this.leases = []
    await endHeartbeat(this.#model.deps, old)
  }

  /** As far as Redis; the store's part waits for `finish_claim`. */
  async claim(): Promise<void> {
    if (this.#gate) return
    const held = new Set(this.leases.map(({ sessionId }) => sessionId))
    const wanted = sessions.filter((id) => !held.has(id)).map((id) => ({ id, epoch: this.#model.epochs.get(id) ?? 0 }))
    let open = () => {}
    const opened = new Promise<void>((resolve) => {
      open = resolve
    })
    let reached = () => {}
    const atStore = new Promise<void>((resolve) => {
      reached = resolve
    })
    const { epochs } = this.#model
    const store = {
      raiseEpoch: async (id: string, epoch: number, from?: number) => {
        reached()
        await opened
        const stored = epochs.get(id) ?? 0
        if (stored >= epoch || stored !== from) return false
        epochs.set(id, epoch)
        return true
      },
    }
    const claimed = (lease: Lease) => void this.leases.push(lease)
    const claiming = claimSessions({ ...this.#model.deps, sessions: store, heartbeat: this, claimed, log }, wanted)
    const done = claiming.then(() => undefined)
    this.#gate = { open, done }
    await Promise.race([atStore, done])
  }

  async finish_claim(): Promise<void> {
    const gate = this.#gate
    this.#gate = undefined
    gate?.open()
    await gate?.done
  }

  /** It dies between Redis and the store. */
  async abandon_claim(): Promise<void> {
    this.#gate = undefined
    await this.die()
  }

  async release(): Promise<void> {
    const lease = this.leases.shift()
    if (!lease) return
    lease.drop()
    await releaseLeases(this.#model.deps, lease.incarnation, [lease])
  }
}

test('no two workers ever trust the same session, and a trusted lease has the epoch of the store', async () => {
  let leaseCount = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }), async (steps) => {
      const model = new Model()
      for (const name of names) await model.worker(name).renew()
      await redis.del(quarantineKey(model.prefix))
      for (const next of steps) {
        await model.take(next)
        expect(model.faults()).toEqual([])
        leaseCount += model.leaseCount
        await model.remember()
      }
    }),
    { numRuns: 400 },
  )
  expect(leaseCount).toBeGreaterThan(1_000)
}, 60_000)

test('a claim needs a heartbeat, leaves what others hold alone, and raises the epoch above what the store says', async () => {
  const deps = { redis, prefix: 'claims', ttlMs: 60_000 }
  const store = { raiseEpoch: async () => true }
  const worker = (incarnation: string) => ({
    incarnation,
    restoreCount: 0,
    trustOfPresent: () => ({ isTrusted: () => true }),
  })
  const claim = async (incarnation: string, epoch: number) => {
    const epochs: number[] = []
    const claimed = (lease: Lease) => void epochs.push(lease.epoch)
    const { again } = await claimSessions({ ...deps, sessions: store, heartbeat: worker(incarnation), claimed, log }, [
      { id: 'ses_x', epoch },
    ])
    return { epochs, again }
  }
  expect(await claim('a', 0)).toEqual({ epochs: [], again: [] })
  await renewHeartbeat(deps, { incarnation: 'a', value: '{}' })
  await renewHeartbeat(deps, { incarnation: 'b', value: '{}' })
  expect(await claim('a', 0)).toEqual({ epochs: [1], again: [] })
  expect(await claim('b', 1)).toEqual({ epochs: [], again: [] })
  await endHeartbeat(deps, 'a')
  // The first heartbeat on this Redis closed it: what it may have forgotten must come back first.
  expect(await claim('b', 1)).toEqual({ epochs: [], again: ['ses_x'] })
  await redis.del(quarantineKey('claims'))
  expect(await claim('b', 7)).toEqual({ epochs: [8], again: [] })
})
