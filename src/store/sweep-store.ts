// Retention: how long things are kept, and the walk that removes what is older in bounded steps.
import type { RetentionPolicy, Store } from './store.ts'

const day = 24 * 3_600_000
export const retention: RetentionPolicy = {
  messagesMs: 30 * day,
  deliveriesMs: 7 * day,
  eventsMs: 7 * day,
  healthSamplesMs: 7 * day,
}

const stepSize = 500

/** Steps until nothing is left or `signal` aborts; the next tick goes on from there. Returns how much was removed. */
export async function sweepStore(store: Pick<Store, 'sweep'>, policy: RetentionPolicy, signal: AbortSignal): Promise<number> {
  let total = 0
  while (!signal.aborted) {
    const { removed } = await store.sweep(policy, Date.now(), stepSize)
    if (removed === 0) break
    total += removed
  }
  return total
}
