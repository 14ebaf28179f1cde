// The health tick: walks all sessions in pages, scores each, keeps what changed and tells of new levels. It explains; it never acts.
import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import { readFleetWait } from '../messages/pacing-script.ts'
import type { Log } from '../platform/log.ts'
import { isOfOlderVersion, keepHistorySince, listTroubled, type ConnectionHistory } from '../sessions/connection-history.ts'
import { describeHealth, describeNothing } from '../sessions/session-events.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import type { HealthSample } from '../store/health-store.ts'
import type { SessionRecord } from '../store/session-store.ts'
import type { Store } from '../store/store.ts'
import { AckedCache } from './acked-cache.ts'
import { ConnectionCache } from './connection-cache.ts'
import { Heartbeats, type Heard } from './heartbeats.ts'
import { levelOf, scoreOf } from './score.ts'
import { countsSince, sampledPast, type SampledPast } from './sample-counts.ts'
import { isFleetBound, signalsOf, type SessionFacts } from './signals.ts'
import { thinned } from './thin-history.ts'
import { TrafficCount } from './traffic-count.ts'

export interface ScoreDeps {
  store: Pick<Store, 'sessions' | 'health'>
  redis: Redis
  prefix: string
  announce: (published: PublishedEvent[]) => void
  log: Log
}

export const scoreWindowMs = 3_600_000
const pageSize = 200
/** A change of the level is kept at once, other changes not more often than this, and a sample at least every few minutes. */
const leastGapMs = 15_000
const mostGapMs = 300_000
/** By so much less, each session its own part of it: those that were scored together are not written together for ever. */
const gapSpreadMs = 60_000
const thinEveryMs = 3_600_000
const mostSamples = 2_000
const noHistory: ConnectionHistory = { changes: [], reconnects: [], actions: [] }

interface Tick {
  now: number
  heartbeats: Heartbeats
  troubled: ReadonlyMap<string, number>
  /** What was noted before is forgotten. */
  knownSince: number
}

interface Scored {
  session: SessionRecord
  sample: HealthSample
  reason: HealthSample['reasons'][number] | null
  revision: number
}

/** One per process: what it remembers between ticks only spares it questions. */
export class SessionScorer {
  readonly #deps: ScoreDeps
  readonly #acked: AckedCache
  readonly #traffic: TrafficCount
  readonly #connections: ConnectionCache
  readonly #pasts = new LRUCache<string, SampledPast>({ max: 5_000 })
  #fleetBoundAt: number | null = null
  #thinnedTo = ''
  #thinStartedAt = 0

  constructor(deps: ScoreDeps) {
    this.#deps = deps
    this.#acked = new AckedCache(deps.store.health)
    this.#traffic = new TrafficCount(deps.store.health)
    this.#connections = new ConnectionCache(deps)
  }

  /** Returns how many sessions were scored. Stops between pages when `signal` aborts. */
  async tick(signal: AbortSignal): Promise<number> {
    const { store, redis } = this.#deps
    const now = await redisNow(redis)
    const heartbeats = await Heartbeats.read(this.#deps, now)
    const troubled = await listTroubled(this.#deps, now - scoreWindowMs)
    if (isFleetBound(await readFleetWait(this.#deps.redis, this.#deps.prefix))) this.#fleetBoundAt = now
    const knownSince = await keepHistorySince(this.#deps, now)
    let count = 0
    let cursor: string | null | undefined
    while (cursor !== null && !signal.aborted) {
      const page = await store.sessions.list({ limit: pageSize, ...(cursor === undefined ? {} : { cursor }) })
      await this.#scorePage(page.data, { now, heartbeats, troubled, knownSince })
      count += page.data.length
      cursor = page.nextCursor
    }
    await heartbeats.save(cursor === null)
    await this.#thin(now)
    return count
  }

  async #scorePage(sessions: readonly SessionRecord[], tick: Tick): Promise<void> {
    const { store } = this.#deps
    const { now, troubled } = tick
    // A session that never was connected is neither well nor ill; it is somebody's to pair.
    const known = sessions.filter(({ lastConnectedAt }) => lastConnectedAt !== null)
    const newest = new Map(
      known.flatMap(({ id }) => {
        const newestAt = troubled.get(id)
        return newestAt === undefined ? [] : [[id, newestAt] as const]
      }),
    )
    const histories = await this.#connections.of(newest)
    const works = await store.health.work(
      known.map(({ id }) => id),
      now,
    )
    const due: Scored[] = []
    for (const session of known) {
      const work = works.get(session.id)
      if (!work) continue
      const history = histories.get(session.id)
      const facts: SessionFacts = {
        now,
        windowMs: scoreWindowMs,
        session,
        ...(await this.#heard(session, tick)),
        history: history ?? quietHistory(session, now),
        past: history && isOfOlderVersion(history) ? null : await this.#past(session, tick),
        work,
        acked: await this.#acked.of(session.id, work, now),
        fleetBoundAt: this.#fleetBoundAt,
      }
      const scored = { ...score(session, facts, history ?? noHistory), revision: work.revision }
      if (isDue(scored)) due.push(scored)
    }
    await this.#keep(due)
  }

  /** Redis was emptied within the hour: since when nobody reports a session stands in its last sample. */
  async #heard(session: SessionRecord, { heartbeats, knownSince, now }: Tick): Promise<Heard> {
    const { id, health } = session
    const heard = heartbeats.of(session)
    const isNew = heard.unheardSince === now && health?.reason?.code === 'not_connected'
    if (!isNew || now - knownSince > scoreWindowMs) return heard
    const latest = await this.#deps.store.health.latest(id)
    const lostSeconds = latest?.signals['notConnectedSeconds']
    return latest && typeof lostSeconds === 'number' ? heartbeats.unheard(id, latest.at - lostSeconds * 1_000) : heard
  }

  /** Redis was emptied within the hour: who was ill is not well for that. */
  async #past({ id, health }: SessionRecord, { knownSince, now }: Tick): Promise<SampledPast | null> {
    if (knownSince <= now - scoreWindowMs || health === null || health.score === 100) return null
    const known = this.#pasts.get(id)
    if (known?.until === knownSince) return known
    const past = sampledPast(await this.#deps.store.health.list(id, knownSince - scoreWindowMs, mostSamples), knownSince)
    this.#pasts.set(id, past)
    return past
  }

  async #keep(due: readonly Scored[]): Promise<void> {
    const { store, announce, log } = this.#deps
    await Promise.all(
      due.map(async ({ session: { id, health: before }, sample, revision }) => {
        Object.assign(sample.signals, await this.#traffic.since(id, before?.at ?? null, { at: sample.at, revision }))
      }),
    )
    await store.health.append(due.map(({ sample }) => sample))
    await Promise.all(
      due.map(async ({ session, sample, reason }) => {
        const { score, level, at } = sample
        const isNews = session.health === null ? level !== 'healthy' : level !== session.health.level
        const outcome = await store.sessions.setHealth(
          session.id,
          { score, level, reason, at },
          isNews ? describeHealth : describeNothing,
        )
        if (!outcome || !isNews) return
        announce(outcome.published)
        log.info({ sessionId: session.id, score, level, before: session.health?.level, reason: reason?.code }, 'health.changed')
      }),
    )
  }

  /** A page of sessions per tick, each about once an hour: what has aged is put together. */
  async #thin(now: number): Promise<void> {
    if (this.#thinnedTo === '' && now - this.#thinStartedAt < thinEveryMs) return
    const { health, sessions } = this.#deps.store
    if (this.#thinnedTo === '') this.#thinStartedAt = now
    const cursor = this.#thinnedTo === '' ? {} : { cursor: this.#thinnedTo }
    const page = await sessions.list({ limit: pageSize / 10, ...cursor })
    for (const { id } of page.data) {
      const merges = thinned(await health.list(id, 0, mostSamples), now)
      if (merges.length > 0) await health.merge(id, merges)
    }
    this.#thinnedTo = page.nextCursor ?? ''
  }
}

/** One clock for the samples of all schedulers, and for what workers note between two of them. */
async function redisNow(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time()
  return Math.floor(Number(seconds) * 1_000 + Number(micros) / 1_000)
}

function score(session: SessionRecord, facts: SessionFacts, { actions }: ConnectionHistory): Omit<Scored, 'revision'> {
  const { now } = facts
  const signals = signalsOf(facts)
  const { score, reasons } = scoreOf(signals)
  const since = session.health?.at ?? session.createdAt
  const sample: HealthSample = {
    sessionId: session.id,
    at: now,
    score,
    level: levelOf(score, session.health?.level ?? null),
    reasons,
    signals: { ...signals, ...countsSince(facts, since) },
    actions: actions
      .filter(({ at, notedAt = at }) => notedAt > since && notedAt <= now)
      .map(({ action, reason }) => ({ action, reason })),
  }
  return { session, sample, reason: reasons[0] ?? null }
}

function isDue({ session, sample, reason }: Scored): boolean {
  const { health } = session
  if (health === null || health.level !== sample.level || sample.actions.length > 0) return true
  const gapMs = sample.at - health.at
  if (gapMs < leastGapMs) return false
  return (
    gapMs >= mostGapMs - gapSpreadMs * partOf(session.id) || health.score !== sample.score || health.reason?.code !== reason?.code
  )
}

/** From 0 to below 1, always the same for an id. */
function partOf(id: string): number {
  let hash = 0
  for (let i = 0; i < id.length; i += 1) hash = (hash * 31 + id.charCodeAt(i)) >>> 0
  return hash / 2 ** 32
}

/** Nothing was noted within the hour: it has been connected all the time, or else since its status says so not. */
function quietHistory({ status, statusReason, updatedAt }: SessionRecord, now: number): ConnectionHistory {
  if (status === 'connected') return { ...noHistory, changes: [{ at: now - scoreWindowMs, to: 'up' }] }
  const isOff = status === 'disconnected' && statusReason === 'requested'
  return { ...noHistory, changes: [{ at: updatedAt, to: isOff ? 'off' : 'down' }] }
}
