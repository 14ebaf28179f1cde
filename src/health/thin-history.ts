// Which samples of a session's history are put together as they age: few remain, and what was worst among them. Pure.
import type { HealthSample } from '../store/health-store.ts'
import { trafficOf } from './traffic-count.ts'

const minuteMs = 60_000
/** Older than `afterMs`, one sample for each `everyMs`. */
const rules = [
  { afterMs: 24 * 60 * minuteMs, everyMs: 60 * minuteMs },
  { afterMs: 60 * minuteMs, everyMs: 10 * minuteMs },
]
const maxActions = 20

/** In the shape that the store's `merge` takes. Samples come and go in order of time. */
export function thinned(samples: readonly HealthSample[], now: number): { into: HealthSample; from: number[] }[] {
  const groups = new Map<string, HealthSample[]>()
  for (const sample of samples) {
    const rule = rules.find(({ afterMs }) => sample.at <= now - afterMs)
    if (!rule) continue
    const key = `${rule.everyMs}/${Math.floor(sample.at / rule.everyMs)}`
    groups.set(key, [...(groups.get(key) ?? []), sample])
  }
  return [...groups.values()].filter((group) => group.length > 1).map(merged)
}

/** The lowest score stays, with its reasons and its time; a short illness must not vanish in an average. */
function merged(group: readonly HealthSample[]): { into: HealthSample; from: number[] } {
  const worst = group.reduce((a, b) => (b.score < a.score ? b : a))
  const actions = group.flatMap((sample) => sample.actions).slice(-maxActions)
  const traffic = group.map(trafficOf)
  const sum = (name: 'sentCount' | 'receivedCount') => traffic.reduce((total, each) => total + (each[name] ?? 0), 0)
  const signals = { ...worst.signals, sentCount: sum('sentCount'), receivedCount: sum('receivedCount') }
  return { into: { ...worst, signals, actions }, from: group.map(({ at }) => at).filter((at) => at !== worst.at) }
}
