// What a session's connection went through from one sample of its health to the next: what is left to tell once Redis has forgotten. Pure.
import type { HealthSample } from '../store/health-store.ts'
import { connectedTime } from './connected-time.ts'
import { connectionWindow, type SessionFacts } from './signals.ts'

/** Stand among the signals of a sample; `at` is the sample's. */
export interface SampleCounts {
  at: number
  /** Reconnects, and those of them in outages of the network. */
  lostCount: number
  outageCount: number
  upMs: number
  downMs: number
}

/** What samples tell of the time up to `until`, of which Redis may have forgotten something. */
export interface SampledPast {
  until: number
  samples: readonly SampleCounts[]
}

export function countsSince(facts: SessionFacts, since: number): Omit<SampleCounts, 'at'> {
  const { history, now } = facts
  const between = history.reconnects.filter(({ at, notedAt = at }) => notedAt > since && notedAt <= now)
  return {
    lostCount: between.length,
    outageCount: between.filter(({ isOutage }) => isOutage === true).length,
    ...connectedTime(history.changes, { ...connectionWindow(facts), since }),
  }
}

/** Samples of older versions have none. */
export function sampledPast(samples: readonly HealthSample[], until: number): SampledPast {
  const count = (value: unknown) => (typeof value === 'number' ? value : 0)
  return {
    until,
    samples: samples
      .filter(({ at }) => at <= until)
      .map(({ at, signals }) => ({
        at,
        lostCount: count(signals['lostCount']),
        outageCount: count(signals['outageCount']),
        upMs: count(signals['upMs']),
        downMs: count(signals['downMs']),
      })),
  }
}
