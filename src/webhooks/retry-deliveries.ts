// The retry tick: finds deliveries whose time has come in the store and gives jobs to as many of each endpoint as it can take soon.
import { sleep } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { DeliveryRecord, DeliveryStore } from '../store/event-store.ts'
import type { DeliveryQueue } from './delivery-queue.ts'
import type { EndpointRooms } from './endpoint-room.ts'

interface RetryDeps {
  deliveries: Pick<DeliveryStore, 'listDueEndpoints' | 'listDue' | 'postpone'>
  rooms: EndpointRooms
  deliveryQueue: DeliveryQueue
  retryQueue: DeliveryQueue
  replayQueue: DeliveryQueue
  log: Log
}

const endpointsAtOnce = 200
/** When the job made now has come to nothing after this time, Redis has lost it, and it is made again. */
const remakeAfterMs = 20_000
/** A receiver that keeps up gets more so often, until the next tick. */
const refillMs = 200
const lastRefillMs = 700

/**
 * What waits stays in the store, and each endpoint's in a line of its own there: however much that is, Redis holds little of it, and others
 * are not kept waiting. Due retries go to the retry queue, what replays made to theirs. First attempts that were put off, or whose job
 * never came into being or was lost with Redis, go to the queue of first attempts: there a job that only waits its turn is found again by
 * its id, so that nothing is sent twice. Returns the number of jobs.
 */
export async function retryDeliveries(deps: RetryDeps, signal: AbortSignal): Promise<number> {
  const startedAt = performance.now()
  let total = 0
  for (;;) {
    const { count, hasMore } = await makeJobs(deps, signal)
    total += count
    if (!hasMore || signal.aborted || performance.now() - startedAt > lastRefillMs) break
    await sleep(refillMs, signal)
  }
  if (total > 0) deps.log.debug({ count: total }, 'webhook.retries_enqueued')
  return total
}

/** Once over all endpoints of which something is due. `hasMore`: not all had their turn, or one takes more. */
async function makeJobs(deps: RetryDeps, signal: AbortSignal): Promise<{ count: number; hasMore: boolean }> {
  const [firstRoom, retryRoom] = await Promise.all([deps.deliveryQueue.readRoom(), deps.retryQueue.readRoom()])
  // Replays bound themselves.
  const queueRooms = new Map([
    [deps.deliveryQueue, firstRoom],
    [deps.retryQueue, retryRoom],
    [deps.replayQueue, Infinity],
  ])
  let room = Math.max(firstRoom, retryRoom)
  let count = 0
  let after = deps.rooms.turn
  let hasMore = after !== ''
  do {
    const now = Date.now()
    const endpointIds = await deps.deliveries.listDueEndpoints({ now, after, limit: endpointsAtOnce })
    const share = Math.ceil(room / Math.max(1, endpointIds.length))
    const takes = (await deps.rooms.read(endpointIds)).map((each) => Math.min(each, share))
    const lists = await Promise.all(
      endpointIds.map(async (id, i) => (takes[i] ? deps.deliveries.listDue(id, now, takes[i]) : [])),
    )
    const made = await enqueue(deps, lists.flat(), now, queueRooms)
    hasMore ||= made > 0 && lists.some((list, i) => list.length > 1 && list.length === takes[i])
    count += made
    room -= made
    after = (endpointIds.length === endpointsAtOnce && endpointIds.at(-1)) || ''
  } while (after !== '' && room > 0 && !signal.aborted)
  deps.rooms.turn = after
  hasMore ||= after !== ''
  return { count, hasMore }
}

/** Postponed first: a job may have come to its end before it could be done afterwards. Returns how many the queues had room for. */
async function enqueue(
  deps: RetryDeps,
  due: readonly DeliveryRecord[],
  now: number,
  queueRooms: Map<DeliveryQueue, number>,
): Promise<number> {
  const chosen = due.flatMap(({ id, endpointId, attemptCount, replayId }) => {
    const queue = replayId !== null ? deps.replayQueue : attemptCount === 0 ? deps.deliveryQueue : deps.retryQueue
    const room = queueRooms.get(queue) ?? 0
    queueRooms.set(queue, room - 1)
    return room > 0 ? [{ id, endpointId, attemptCount, queue }] : []
  })
  if (chosen.length === 0) return 0
  const nextAttemptAt = now + remakeAfterMs
  await deps.deliveries.postpone(chosen.map(({ id, attemptCount }) => ({ deliveryId: id, attemptCount, nextAttemptAt })))
  await Promise.all(chosen.map(({ id, endpointId, attemptCount, queue }) => queue.add(id, { endpointId, attempt: attemptCount })))
  return chosen.length
}
