// Exponential backoff with full jitter, so that many that failed together never come back together.

export interface BackoffPolicy {
  baseMs: number
  capMs: number
  /** No delay is shorter than this. */
  floorMs?: number
}

/** Full jitter: evenly between the floor and `min(cap, base × 2^attempt)`. `attempt` counts from 0. */
export function backoffMs(policy: BackoffPolicy, attempt: number, random: () => number = Math.random): number {
  const ceiling = Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(attempt, 30))
  const floor = Math.min(policy.floorMs ?? 0, ceiling)
  return Math.round(floor + random() * (ceiling - floor))
}

/** `value` changed by up to ± `fraction`. */
export function jittered(value: number, fraction: number, random: () => number = Math.random): number {
  return Math.round(value * (1 + (random() * 2 - 1) * fraction))
}
