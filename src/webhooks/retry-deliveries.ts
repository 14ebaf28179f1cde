// The retry tick: finds deliveries whose time has come in the store and gives each a job.
import type { Log } from '../platform/log.ts'
import type { DeliveryStore } from '../store/event-store.ts'
import type { DeliveryQueue } from './delivery-queue.ts'

interface RetryDeps {
  deliveries: Pick<DeliveryStore, 'listDue' | 'postpone'>
  deliveryQueue: DeliveryQueue
  retryQueue: DeliveryQueue
  replayQueue: DeliveryQueue
  log: Log
}

const pageSize = 500
/** When the job made now has come to nothing after this time, Redis has lost it, and it is made again. */
const remakeAfterMs = 20_000

/**
 * Due retries go to the retry queue, what replays made to theirs. First attempts whose job never came into being, or was lost with Redis, go back to the queue of
 * first attempts: there a job that only waits its turn is found again by its id, so that nothing is sent twice. Returns the number of jobs.
 */
export async function retryDeliveries(deps: RetryDeps, signal: AbortSignal, maxPages = 20): Promise<number> {
  let total = 0
  for (let page = 0; page < maxPages && !signal.aborted; page += 1) {
    const now = Date.now()
    const due = await deps.deliveries.listDue(now, pageSize)
    if (due.length === 0) break
    await Promise.all(
      due.map(({ id, endpointId, attemptCount, replayId }) => {
        const queue = replayId !== null ? deps.replayQueue : attemptCount === 0 ? deps.deliveryQueue : deps.retryQueue
        return queue.add(id, { endpointId, attempt: attemptCount })
      }),
    )
    await deps.deliveries.postpone(
      due.map(({ id }) => id),
      now + remakeAfterMs,
    )
    total += due.length
    if (due.length < pageSize) break
  }
  if (total > 0) deps.log.debug({ count: total }, 'webhook.retries_enqueued')
  return total
}
