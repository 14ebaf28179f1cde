// The replay tick: walks the event log for each running replay and makes deliveries, no faster than they are made use of.
import type { Log } from '../platform/log.ts'
import { firstAttemptGraceMs, type EndpointStore, type EventStore, type EventType } from '../store/event-store.ts'
import type { ReplayRecord, ReplayStore } from '../store/replay-store.ts'
import type { DeliveryQueue } from './delivery-queue.ts'

interface ReplayDeps {
  replays: ReplayStore
  events: Pick<EventStore, 'read' | 'placeBefore'>
  endpoints: Pick<EndpointStore, 'get'>
  replayQueue: DeliveryQueue
  log: Log
}

const maxReplays = 200
/** Deliveries of one replay that wait for their first attempt. The rest of the log is read when there is room again. */
const window = 200
const pageSize = 100
const maxPages = 10
/** Events stand in the log in the order of their commits; their times may differ from it by as much as a writer waited. */
const toleranceMs = 60_000

/**
 * Each step is one transaction, so that a process that dies in between neither loses nor doubles a delivery. Returns the number made.
 * @throws what one of them met, when all have had their turn
 */
export async function advanceReplays(deps: ReplayDeps, signal: AbortSignal): Promise<number> {
  let total = 0
  const errors: unknown[] = []
  for (const replay of await deps.replays.listRunning(maxReplays)) {
    if (signal.aborted) break
    try {
      total += await advance(deps, replay, signal)
    } catch (err) {
      errors.push(err)
      deps.log.warn({ err, replayId: replay.id, endpointId: replay.endpointId }, 'webhook.replay_step_failed')
    }
  }
  if (errors.length > 0) throw errors[0]
  return total
}

async function advance(deps: ReplayDeps, start: ReplayRecord, signal: AbortSignal): Promise<number> {
  const endpoint = await deps.endpoints.get(start.endpointId)
  if (!endpoint?.enabled) {
    await deps.replays.stop(start.endpointId, start.id, Date.now())
    return 0
  }
  let replay = start
  let room = window - (await deps.replays.countWaiting(replay.id))
  let made = 0
  for (let page = 0; page < maxPages && room >= pageSize && !signal.aborted; page += 1) {
    const step = await takeStep(deps, replay)
    if (!step) break
    made += step.made
    room -= step.made
    replay = step.replay
    if (replay.status === 'finished') {
      deps.log.info(
        { replayId: replay.id, endpointId: replay.endpointId, count: replay.deliveryCount },
        'webhook.replay_finished',
      )
      break
    }
  }
  return made
}

/** Null when another process has taken this step, or the replay was stopped. */
async function takeStep(deps: ReplayDeps, replay: ReplayRecord): Promise<{ replay: ReplayRecord; made: number } | null> {
  const { sessionId, since, until } = replay
  const after = replay.place ?? (await deps.events.placeBefore(since - toleranceMs, sessionId ?? undefined))
  const page = await deps.events.read({
    after,
    types: replay.types as EventType[],
    limit: pageSize,
    ...(sessionId === null ? {} : { sessionId }),
  })
  const isOver = !page.hasMore || page.events.some(({ at }) => at > until + toleranceMs)
  const now = Date.now()
  const deliveries = page.events
    .filter(({ at }) => at >= since && at <= until)
    .map((event) => ({
      eventId: event.id,
      endpointId: replay.endpointId,
      sessionId: event.sessionId,
      eventType: event.type,
      nextAttemptAt: now + firstAttemptGraceMs,
    }))
  const status = isOver ? ('finished' as const) : ('running' as const)
  const made = await deps.replays.advance(replay, { place: page.next, status, at: now }, deliveries)
  if (!made) return null
  await Promise.all(
    made.map(({ id, endpointId }) =>
      deps.replayQueue.add(id, { endpointId, attempt: 0 }).catch((err: unknown) => {
        deps.log.debug({ err, deliveryId: id, endpointId }, 'webhook.enqueue_failed') // the retry tick finds it
      }),
    ),
  )
  const next = { ...replay, place: page.next, status, deliveryCount: replay.deliveryCount + made.length }
  return { replay: next, made: made.length }
}
