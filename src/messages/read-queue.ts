// What leaves next: the head of a session's queue as it is expected to leave, what is scheduled, and how much there is of each.
import type { MessageRecord, MessageStore } from '../store/message-store.ts'
import type { SessionRecord } from '../store/session-store.ts'
import type { SessionForecasts } from './forecast-session.ts'

interface ReadQueueDeps {
  messages: Pick<MessageStore, 'list' | 'listById' | 'listScheduled' | 'queueState'>
  forecasts: Pick<SessionForecasts, 'nextPositions'>
}

interface QueueHead {
  /** Sending ones, then queued ones: the next one to leave first. */
  next: MessageRecord[]
  /** Of queued ones, as far as they are known. */
  positions: ReadonlyMap<string, number>
  /** Queued and sending. */
  queueDepth: number
  /** The soonest first. */
  scheduled: MessageRecord[]
  scheduledCount: number
}

/** So many at a time, however few are wanted: those that have ended are passed over. */
const leastPage = 100

/** At most `limit` of either. */
export async function readQueue(deps: ReadQueueDeps, session: SessionRecord, limit: number): Promise<QueueHead> {
  const { id: sessionId } = session
  const [state, sending, positions, scheduled] = await Promise.all([
    deps.messages.queueState(sessionId),
    deps.messages.list({ sessionId, status: 'sending', limit }),
    deps.forecasts.nextPositions(session, limit),
    deps.messages.listScheduled(sessionId, limit),
  ])
  const ids = [...positions.keys()]
  const next = new Map(sending.data.map((message) => [message.id, message]))
  const pageSize = Math.max(limit, leastPage)
  for (let from = 0; next.size < limit && from < ids.length; from += pageSize) {
    const page = ids.slice(from, from + pageSize)
    const found = new Map((await deps.messages.listById(sessionId, page)).map((message) => [message.id, message]))
    for (const id of page) {
      const message = found.get(id)
      const isThere = message?.status === 'queued' || message?.status === 'sending'
      if (isThere && next.size < limit) next.set(id, message)
    }
  }
  return { next: [...next.values()], positions, queueDepth: state.depth, scheduled, scheduledCount: state.scheduled }
}
