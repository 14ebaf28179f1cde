// Writes of what WhatsApp told us once and will not tell again: repeated until the store takes them.
import { backoffMs } from '../platform/backoff.ts'
import { sleep } from '../platform/clock.ts'
import { AppError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'

const pauses = { baseMs: 100, capMs: 3_000, floorMs: 50 }

/** `write` must be harmless when repeated. Rejects with its last error when `ending` aborts, and at once with what no repetition cures. */
export async function retryStore<T>(write: () => Promise<T>, deps: { ending: AbortSignal; log: Log }): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await write()
    } catch (error) {
      const mayHeal = error instanceof AppError && error.retryable
      if (!mayHeal || deps.ending.aborted) throw error
      if (attempt === 0) deps.log.warn({ err: error }, 'store.write_repeated')
      await sleep(backoffMs(pauses, attempt), deps.ending)
    }
  }
}
