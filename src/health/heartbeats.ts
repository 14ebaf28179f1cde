// When each session's socket last heard of WhatsApp, from the reports of all living workers; and since when nobody reports one.
import type { Redis } from 'ioredis'
import { unheardKey, workersKey } from '../sessions/session-keys.ts'
import { readTraffic } from '../sessions/traffic-report.ts'
import type { SessionRecord } from '../store/session-store.ts'
import type { SessionFacts } from './signals.ts'

export type Heard = Pick<SessionFacts, 'isHeld' | 'heardAt' | 'unheardSince'>

interface HeartbeatDeps {
  redis: Redis
  prefix: string
}

/** A worker reports every few seconds; before its first report a new connection speaks for itself. */
const firstReportMs = 30_000
const keepMs = 3_600_000

/** When it was connected, if that is so short a time ago that it stands for the first report. */
export function connectedJustNow({ lastConnectedAt }: Pick<SessionRecord, 'lastConnectedAt'>, now: number): number | null {
  return lastConnectedAt !== null && now - lastConnectedAt < firstReportMs ? lastConnectedAt : null
}

/** A few commands for the whole fleet, however many sessions it has. */
export class Heartbeats {
  readonly #deps: HeartbeatDeps
  readonly #now: number
  readonly #heardAt: ReadonlyMap<string, number>
  readonly #before: ReadonlyMap<string, number>
  readonly #unheard = new Map<string, number>()
  readonly #asked = new Set<string>()
  readonly #hasWorkers: boolean

  private constructor(
    deps: HeartbeatDeps,
    now: number,
    known: { heardAt: ReadonlyMap<string, number>; before: ReadonlyMap<string, number>; hasWorkers: boolean },
  ) {
    this.#deps = deps
    this.#now = now
    this.#heardAt = known.heardAt
    this.#before = known.before
    this.#hasWorkers = known.hasWorkers
  }

  static async read(deps: HeartbeatDeps, now: number): Promise<Heartbeats> {
    const { redis, prefix } = deps
    const workers = await redis.zrange(workersKey(prefix), '0', '-1')
    const [before, heardAt] = await Promise.all([redis.hgetall(unheardKey(prefix)), readTraffic(deps, workers)])
    const numbers = new Map(Object.entries(before).map(([id, at]) => [id, Number(at)]))
    return new Heartbeats(deps, now, { heardAt, before: numbers, hasWorkers: workers.length > 0 })
  }

  of(session: Pick<SessionRecord, 'id' | 'status' | 'lastConnectedAt'>): Heard {
    const { id, status } = session
    this.#asked.add(id)
    if (status !== 'connected') return { isHeld: this.#hasWorkers, heardAt: null, unheardSince: null }
    const heardAt = this.#heardAt.get(id) ?? connectedJustNow(session, this.#now)
    if (heardAt !== null) return { isHeld: true, heardAt, unheardSince: null }
    return this.unheard(id, this.#before.get(id) ?? this.#now)
  }

  /** For one of whom something else tells since when: Redis may have forgotten it. */
  unheard(id: string, unheardSince: number): Heard {
    this.#unheard.set(id, unheardSince)
    return { isHeld: false, heardAt: null, unheardSince }
  }

  /**
   * For the next tick, whichever process runs it. Costs nothing while all are heard. `isWhole`: all sessions were asked about; else what is
   * known of those that were not stays.
   */
  async save(isWhole: boolean): Promise<void> {
    if (this.#unheard.size === 0 && this.#before.size === 0) return
    const { redis, prefix } = this.#deps
    const key = unheardKey(prefix)
    const over = [...this.#before.keys()].filter((id) => !this.#unheard.has(id) && (isWhole || this.#asked.has(id)))
    const write = redis.multi()
    if (over.length > 0) write.hdel(key, ...over)
    if (this.#unheard.size > 0) write.hset(key, Object.fromEntries(this.#unheard))
    await write.pexpire(key, keepMs).exec()
  }
}
