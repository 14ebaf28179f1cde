// From signals to a score with its reasons, and from scores to a level. Pure.
import type { HealthSignals } from './signals.ts'
import { levels, weights, type HealthLevel } from './weights.ts'

export interface HealthReason {
  code: string
  points: number
  text: string
}

export interface HealthScore {
  /** 0 to 100: 100 minus the points of the reasons, exactly. */
  score: number
  /** The one that costs most first. */
  reasons: HealthReason[]
}

export function scoreOf(signals: HealthSignals): HealthScore {
  let left = 100
  const reasons: HealthReason[] = []
  for (const weight of weights) {
    const value = weight.value(signals)
    const points = value === null ? 0 : Math.min(left, Math.round(pointsAt(weight.curve, value)))
    if (points <= 0) continue
    left -= points
    reasons.push({ code: weight.code, points, text: weight.text(signals) })
  }
  return { score: left, reasons: reasons.toSorted((a, b) => b.points - a.points) }
}

/** A level is left only when the score has moved clearly past its limit, so that nobody is told of every point up and down. */
export function levelOf(score: number, before: string | null): HealthLevel {
  const now = levels.findIndex(({ entry }) => score >= entry)
  const was = levels.findIndex(({ level }) => level === before)
  const isFalling = was >= 0 && now > was
  const index = isFalling ? levels.findIndex(({ floor }, i) => i >= was && score >= floor) : now
  return levels[index]?.level ?? 'critical'
}

function pointsAt(curve: (typeof weights)[number]['curve'], value: number): number {
  const next = curve.findIndex(([x]) => x >= value)
  if (next === -1) return curve.at(-1)?.[1] ?? 0
  const [x1, y1] = curve[next] ?? [0, 0]
  const [x0, y0] = curve[next - 1] ?? [x1, y1]
  return x1 === x0 ? y1 : y0 + ((y1 - y0) * (value - x0)) / (x1 - x0)
}
