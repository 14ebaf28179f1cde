// Which samples of a session's history are put together as they age: few remain, and what was worst among them. Pure.
import type { HealthSample } from '../store/health-store.ts'

const minuteMs = 60_000
/** Older than `afterMs`, one sample for each `everyMs`. */
const rules = [
  { afterMs: 24 * 60 * minuteMs, everyMs: 60 * minuteMs },
  { afterMs: 60 * minuteMs, everyMs: 10 * minuteMs },
]
const maxActions = 20
/** Of what happened since the sample before. */
const summed = ['sentCount', 'receivedCount', 'lostCount', 'outageCount', 'upMs', 'downMs'] as const

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
  const signals = { ...worst.signals }
  for (const name of summed) {
    const counts = group.map((sample) => sample.signals[name]).filter((count) => typeof count === 'number')
    if (counts.length > 0) signals[name] = counts.reduce((sum, count) => sum + count, 0)
  }
  return { into: { ...worst, signals, actions }, from: group.map(({ at }) => at).filter((at) => at !== worst.at) }
}
