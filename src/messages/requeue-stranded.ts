// The safety net under the send queues: finds what is stored and does not move, and has its holder look; a tick of the scheduler.
import type { Redis } from 'ioredis'
import type { Log } from '../platform/log.ts'
import { wakeSession } from '../sessions/live-session.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import { lanes, type MessageStore } from '../store/message-store.ts'
import { describeMessage } from './message-events.ts'
import { isSendingTooLong } from './message.ts'

export interface RequeueDeps {
  messages: Pick<MessageStore, 'listSessionsWithStale' | 'list' | 'advance'>
  redis: Redis
  prefix: string
  announce: (published: PublishedEvent[]) => void
  log: Log
}

/** Longer than an accept takes between store and queue, and than a wake-up is on its way. */
const staleMs = 10_000
const pageSize = 500

/**
 * Wakes the holders of sessions whose queued or sending messages have not moved for a while; only the holder compares and re-adds, because two
 * who do it at once can undo each other's order. A session without a holder needs nothing: its next one compares before its first job.
 * Also ends what has been `sending` for a day, which a session that stays disconnected would never do. Returns how many sessions were stale.
 */
export async function requeueStranded(deps: RequeueDeps): Promise<number> {
  const now = Date.now()
  let count = 0
  for (let after: string | undefined; ;) {
    const sessionIds = await deps.messages.listSessionsWithStale(now - staleMs, pageSize, after)
    for (const sessionId of sessionIds) {
      await wakeSession(deps.redis, deps.prefix, sessionId, 'compare')
      await failOverdue(deps, sessionId, now)
    }
    count += sessionIds.length
    after = sessionIds.at(-1)
    if (sessionIds.length < pageSize) return count
  }
}

/**
 * A holder that lost its lease got a job after all: while its command waited for Redis, its successor may have recovered the queue, and no job
 * would come to that one until the next tick.
 */
export async function tellStranded({ redis, prefix }: { redis: Redis; prefix: string }, sessionId: string): Promise<void> {
  await wakeSession(redis, prefix, sessionId, 'stranded')
}

async function failOverdue(deps: RequeueDeps, sessionId: string, now: number): Promise<void> {
  const sending = await deps.messages.list({ sessionId, status: 'sending', limit: lanes.length })
  for (const message of sending.data.filter((each) => isSendingTooLong(each, now))) {
    const error = {
      code: 'outcome_unknown',
      detail: 'No acknowledgement from WhatsApp within a day. It may or may not have arrived.',
    }
    const outcome = await deps.messages.advance(sessionId, message.id, { to: 'failed', at: now, error }, describeMessage)
    if (!outcome) continue
    deps.announce(outcome.published)
    deps.log.warn({ sessionId, messageId: message.id, code: error.code }, 'message.failed')
  }
}
