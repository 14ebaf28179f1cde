// Time: the monotonic clock that leases trust, bounded waits, and deadlines on promises.
import { setTimeout as delay } from 'node:timers/promises'
import { AppError, type ErrorCode } from './errors.ts'

/** Milliseconds on a clock that never jumps; comparable only within one process. */
export function monotonicMs(): number {
  return performance.now()
}

/** ISO-8601 UTC with milliseconds. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}

/** Resolves after `ms`, or early without an error when `signal` aborts. Keeps no process alive by itself when `ref` is false. */
export async function sleep(ms: number, signal?: AbortSignal, ref = true): Promise<void> {
  try {
    await delay(ms, undefined, signal ? { signal, ref } : { ref })
  } catch (error) {
    if (!signal?.aborted) throw error
  }
}

/** Rejects with `AppError(code)` when `promise` has not settled after `ms`. The promise itself goes on; its late failure is ignored. */
export async function withDeadline<T>(
  promise: Promise<T>,
  ms: number,
  code: ErrorCode = 'timed_out',
  detail?: string,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new AppError(code, detail)), ms)
  })
  try {
    return await Promise.race([promise, deadline])
  } finally {
    clearTimeout(timer)
    promise.catch(() => undefined)
  }
}
