// A replay: which events it takes, how the API shows it, and how it is started.
import { isoTime } from '../platform/clock.ts'
import { AppError } from '../platform/errors.ts'
import { newId } from '../platform/id.ts'
import { matchesEvent } from '../store/endpoint-pattern.ts'
import { eventTypes, type EndpointRecord } from '../store/event-store.ts'
import type { ReplayRecord, ReplayStatus, ReplayStore } from '../store/replay-store.ts'
import { checkEvents } from './endpoint.ts'

export interface ReplayView {
  id: string
  endpointId: string
  sessionId: string | null
  since: string
  until: string
  types: string[]
  status: ReplayStatus
  /** Deliveries made so far. */
  deliveryCount: number
  createdAt: string
  updatedAt: string
}

export function replayView(replay: ReplayRecord): ReplayView {
  const { id, endpointId, sessionId, types, status, deliveryCount } = replay
  return {
    id,
    endpointId,
    sessionId,
    since: isoTime(replay.since),
    until: isoTime(replay.until),
    types,
    status,
    deliveryCount,
    createdAt: isoTime(replay.createdAt),
    updatedAt: isoTime(replay.updatedAt),
  }
}

interface ReplayInput {
  since: number
  /** Now, when left out or later than now: what happens from now on is delivered anyway. */
  until?: number | undefined
  /** Types and groups; of them only what the endpoint has subscribed to. All of that when left out. */
  types?: readonly string[] | undefined
}

/**
 * Stored here, walked by the scheduler's tick.
 * @throws AppError `invalid_request`, `endpoint_disabled`, `replay_running`
 */
export async function startReplay(
  deps: { replays: Pick<ReplayStore, 'create'> },
  endpoint: EndpointRecord,
  input: ReplayInput,
): Promise<ReplayRecord> {
  const now = Date.now()
  const until = Math.min(input.until ?? now, now)
  if (input.since > until) throw badField('since', 'lies after the end of the replay')
  const wanted = input.types === undefined ? endpoint.events : checkEvents(input.types, 'types')
  const types = eventTypes.filter((type) => matchesEvent(wanted, type) && matchesEvent(endpoint.events, type))
  if (types.length === 0) throw badField('types', 'The endpoint has subscribed to none of these.')
  if (!endpoint.enabled) throw new AppError('endpoint_disabled')
  const replay: ReplayRecord = {
    id: newId('rpl'),
    endpointId: endpoint.id,
    sessionId: endpoint.sessionId,
    since: input.since,
    until,
    types,
    status: 'running',
    place: null,
    deliveryCount: 0,
    createdAt: now,
    updatedAt: now,
  }
  if (!(await deps.replays.create(replay))) throw new AppError('replay_running')
  return replay
}

function badField(path: string, message: string): AppError {
  return new AppError('invalid_request', undefined, { errors: [{ path, message }] })
}
