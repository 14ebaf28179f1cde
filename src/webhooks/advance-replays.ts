// The replay tick: walks the event log for each running replay and makes deliveries, no faster than they are made use of.
import type { Log } from '../platform/log.ts'
import { isForFleetOnly } from '../store/endpoint-pattern.ts'
import {
  firstAttemptGraceMs,
  type EndpointStore,
  type EventRecord,
  type EventStore,
  type EventType,
} from '../store/event-store.ts'
import type { ReplayRecord, ReplayStore } from '../store/replay-store.ts'
import type { DeliveryQueue } from './delivery-queue.ts'

interface ReplayDeps {
  replays: ReplayStore
  events: Pick<EventStore, 'read' | 'placeBefore'>
  endpoints: Pick<EndpointStore, 'get'>
  replayQueue: DeliveryQueue
  /** The replay after which the tick goes on: those that wait for their receivers keep no other from its turn. */
  turn: { after: string }
  log: Log
}

const replaysAtOnce = 200
/** Deliveries of one replay that wait for their first attempt. The rest of the log is read when there is room again. */
const window = 200
const pageSize = 100
/** Of one replay in one tick, and of one step: pages of which it takes nothing are passed over without a write for each. */
const maxPages = 50
const maxPagesOfStep = 10
/** Events stand in the log in the order of their commits; their times may differ from it by as much as a writer waited. */
const toleranceMs = 60_000

/**
 * Each step is one transaction, so that a process that dies in between neither loses nor doubles a delivery. Returns the number made.
 * @throws what one of them met, when all have had their turn
 */
export async function advanceReplays(deps: ReplayDeps, signal: AbortSignal): Promise<number> {
  let total = 0
  const errors: unknown[] = []
  const running = await deps.replays.listRunning({ after: deps.turn.after, limit: replaysAtOnce })
  for (const replay of running) {
    if (signal.aborted) break
    deps.turn.after = replay.id
    try {
      total += await advance(deps, replay, signal)
    } catch (err) {
      errors.push(err)
      deps.log.warn({ err, replayId: replay.id, endpointId: replay.endpointId }, 'webhook.replay_step_failed')
    }
  }
  if (running.length < replaysAtOnce && !signal.aborted) deps.turn.after = ''
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
  for (let pages = 0; pages < maxPages && room >= pageSize && !signal.aborted;) {
    const step = await takeStep(deps, replay, signal)
    if (!step) break
    pages += step.pages
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
async function takeStep(
  deps: ReplayDeps,
  replay: ReplayRecord,
  signal: AbortSignal,
): Promise<{ replay: ReplayRecord; made: number; pages: number } | null> {
  const { events, place, isOver, pages } = await readOn(deps, replay, signal)
  const now = Date.now()
  const deliveries = events.map((event) => ({
    eventId: event.id,
    endpointId: replay.endpointId,
    sessionId: event.sessionId,
    eventType: event.type,
    nextAttemptAt: now + firstAttemptGraceMs,
  }))
  const status = isOver ? ('finished' as const) : ('running' as const)
  const made = await deps.replays.advance(replay, { place, status, at: now }, deliveries)
  if (!made) return null
  await Promise.all(
    made.map(({ id, endpointId }) =>
      deps.replayQueue.add(id, { endpointId, attempt: 0 }).catch((err: unknown) => {
        deps.log.debug({ err, deliveryId: id, endpointId }, 'webhook.enqueue_failed') // the retry tick finds it
      }),
    ),
  )
  const next = { ...replay, place, status, deliveryCount: replay.deliveryCount + made.length }
  return { replay: next, made: made.length, pages }
}

/**
 * On to a page of which the replay takes something. It ends with the log, not at a time: an event that was written by a wrong clock says
 * nothing of those after it.
 */
async function readOn(
  deps: ReplayDeps,
  { place: from, since, until, types, sessionId }: ReplayRecord,
  signal: AbortSignal,
): Promise<{ events: EventRecord[]; place: string; isOver: boolean; pages: number }> {
  let place = from ?? (await deps.events.placeBefore(since - toleranceMs, sessionId ?? undefined))
  for (let pages = 1; ; pages += 1) {
    const page = await deps.events.read({
      after: place,
      types: types as EventType[],
      limit: pageSize,
      ...(sessionId === null ? {} : { sessionId }),
    })
    const events = page.events.filter(
      (event) => event.at >= since && event.at <= until && (sessionId === null || !isForFleetOnly(event)),
    )
    place = page.next
    const isOver = !page.hasMore
    if (events.length > 0 || isOver || pages === maxPagesOfStep || signal.aborted) return { events, place, isOver, pages }
  }
}
