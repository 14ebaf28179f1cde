// When a failed delivery is tried again, and when it is given up.
import { jittered } from '../platform/backoff.ts'

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
/** Waits after the first, second, … failed attempt; after the last of them the delivery is dead. */
export const retryDelaysMs: readonly number[] = [
  5 * second,
  30 * second,
  2 * minute,
  10 * minute,
  hour,
  3 * hour,
  8 * hour,
  12 * hour,
]
const jitter = 0.2
/** A receiver may ask for more patience than the schedule has, but not for more than this. */
const maxRetryAfterMs = 12 * hour

export type NextStep =
  | { status: 'failed'; nextAttemptAt: number }
  | { status: 'dead'; nextAttemptAt: null; deadReason: 'retries_exhausted' }

/** `attemptCount` counts the attempt that has just failed. */
export function nextStep(
  attemptCount: number,
  retryAfterMs: number | null,
  now: number,
  random: () => number = Math.random,
  delaysMs: readonly number[] = retryDelaysMs,
): NextStep {
  const delay = delaysMs[attemptCount - 1]
  if (delay === undefined) return { status: 'dead', nextAttemptAt: null, deadReason: 'retries_exhausted' }
  const asked = Math.min(retryAfterMs ?? 0, maxRetryAfterMs)
  return { status: 'failed', nextAttemptAt: now + Math.max(jittered(delay, jitter, random), asked) }
}

/** `Retry-After` in either of its forms, as milliseconds from `now`; null when it is neither. */
export function parseRetryAfter(value: string | undefined, now: number): number | null {
  if (value === undefined) return null
  const text = value.trim()
  if (/^\d{1,9}$/.test(text)) return Number(text) * second
  const at = /^[A-Z][a-z]{2},/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? null : Math.max(0, at - now)
}
