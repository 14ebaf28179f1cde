// The health of one session as the API shows it: scored now, with the signals and the history of the window asked for.
import type { Redis } from 'ioredis'
import { isoTime } from '../platform/clock.ts'
import { readFleetWait } from '../messages/pacing-script.ts'
import {
  droppedUntil,
  isOfOlderVersion,
  readConnectionHistories,
  readHistorySince,
  type ConnectionChange,
  type ConnectionHistory,
} from '../sessions/connection-history.ts'
import { readLiveSession } from '../sessions/live-session.ts'
import { unheardKey } from '../sessions/session-keys.ts'
import type { HealthSample } from '../store/health-store.ts'
import type { SessionRecord } from '../store/session-store.ts'
import type { Store } from '../store/store.ts'
import { ackedLimit, lastAcked } from './acked-cache.ts'
import { connectedJustNow } from './heartbeats.ts'
import { connectionPeriods } from './connected-time.ts'
import { levelOf, scoreOf, type HealthReason } from './score.ts'
import { sampledPast } from './sample-counts.ts'
import { scoreWindowMs } from './score-sessions.ts'
import { connectionWindow, isFleetBound, signalsOf, type HealthSignals, type SessionFacts } from './signals.ts'
import { trafficOf } from './traffic-count.ts'
import type { HealthLevel } from './weights.ts'

export const healthWindows = { '1h': 3_600_000, '24h': 24 * 3_600_000, '7d': 7 * 24 * 3_600_000 } as const
export type HealthWindow = keyof typeof healthWindows

export interface HealthView {
  score: number
  level: HealthLevel
  reasons: HealthReason[]
  signals: Omit<HealthSignals, 'recentReconnects'>
  connections: { from: string; until: string; state: 'up' | 'down' | 'off' }[]
  history: {
    at: string
    score: number
    sentCount: number | null
    receivedCount: number | null
    actions?: { action: string; reason: string }[]
  }[]
}

interface HealthDeps {
  store: Pick<Store, 'health'>
  redis: Redis
  prefix: string
}

/** Delivery rate and latency look at this many messages at most. */
const mostMessages = 1_000
const mostSamples = 1_000

/** The score always looks at the last hour, so that it is the same in every window; the signals shown are the window's. */
export async function readHealth(deps: HealthDeps, session: SessionRecord, window: HealthWindow): Promise<HealthView> {
  const now = Date.now()
  const windowMs = healthWindows[window]
  const samples = await deps.store.health.list(session.id, now - windowMs, mostSamples)
  const facts = await readFacts(deps, session, samples, now)
  const recent = signalsOf({ ...facts, acked: facts.acked.slice(0, ackedLimit) })
  const { score, reasons } = scoreOf(recent)
  const { recentReconnects: _, ...signals } = windowMs === scoreWindowMs ? recent : signalsOf({ ...facts, windowMs })
  return {
    score,
    level: levelOf(score, session.health?.level ?? null),
    reasons,
    signals,
    connections: connectionPeriods(facts.history.changes, connectionWindow({ ...facts, windowMs })).map((period) => ({
      from: isoTime(period.from),
      until: isoTime(period.until),
      state: period.state,
    })),
    history: samples.map((sample) => {
      const { sentCount, receivedCount } = trafficOf(sample)
      const { at, score: then, actions } = sample
      return { at: isoTime(at), score: then, sentCount, receivedCount, ...(actions.length > 0 ? { actions } : {}) }
    }),
  }
}

async function readFacts(
  { store, redis, prefix }: HealthDeps,
  session: SessionRecord,
  samples: readonly HealthSample[],
  now: number,
): Promise<SessionFacts> {
  const deps = { redis, prefix }
  const [live, [history], { work, acked }, unheardAt, fleetWaitMs, historySince] = await Promise.all([
    readLiveSession(deps, session.id),
    readConnectionHistories(deps, [session.id]),
    readMessages(store, session.id, now),
    redis.hget(unheardKey(prefix), session.id),
    readFleetWait(redis, prefix),
    readHistorySince(deps),
  ])
  // With samples and without that mark Redis was emptied, and no tick has come since.
  const emptiedAt = historySince ?? samples.at(-1)?.at ?? 0
  const isUncounted = history !== undefined && isOfOlderVersion(history)
  const forgottenUntil = isUncounted ? 0 : Math.max(emptiedAt, history ? sampledUntil(history, samples) : 0)
  const heardAt = live.holder === null ? null : (live.lastTrafficAt ?? connectedJustNow(session, now))
  const isUnheard = session.status === 'connected' && heardAt === null
  return {
    now,
    windowMs: scoreWindowMs,
    session,
    isHeld: live.holder !== null,
    unheardSince: isUnheard ? Number(unheardAt ?? now) : null,
    heardAt,
    history: { reconnects: [], actions: [], ...history, changes: knownChanges(session, history?.changes ?? []) },
    past: forgottenUntil > 0 ? sampledPast(samples, forgottenUntil) : null,
    work,
    acked,
    fleetBoundAt: isFleetBound(fleetWaitMs) ? now : null,
  }
}

/** Of what the lists have dropped the samples know, up to the first one that was made since. */
function sampledUntil(history: ConnectionHistory, samples: readonly HealthSample[]): number {
  const dropped = droppedUntil(history)
  return samples.find(({ at }) => dropped !== null && at >= dropped)?.at ?? dropped ?? 0
}

async function readMessages(
  { health }: HealthDeps['store'],
  id: string,
  now: number,
): Promise<Pick<SessionFacts, 'work' | 'acked'>> {
  const work = (await health.work([id], now)).get(id)
  if (work) return { work, acked: await lastAcked(health, id, work.revision, mostMessages) }
  return { work: { revision: 0, depth: 0, oldestQueuedAt: null, readySince: null, sendingSince: null }, acked: [] }
}

/** Notes are kept for a week after the last one: a session without any has been connected since before. */
function knownChanges({ status, lastConnectedAt }: SessionRecord, changes: readonly ConnectionChange[]): ConnectionChange[] {
  if (changes.length > 0 || status !== 'connected' || lastConnectedAt === null) return [...changes]
  return [{ at: lastConnectedAt, to: 'up' }]
}
