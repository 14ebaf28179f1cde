// Canceling a message that has not left yet: the store decides between this and sending it.
import type { Redis } from 'ioredis'
import { AppError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { wakeSession } from '../sessions/live-session.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import type { MessageRecord, MessageStore } from '../store/message-store.ts'
import { describeMessage } from './message-events.ts'
import type { SendQueues } from './send-queue.ts'

interface CancelDeps {
  messages: Pick<MessageStore, 'cancel' | 'get'>
  queues: Pick<SendQueues, 'removeAll'>
  /** A 'producer' connection. */
  redis: Redis
  prefix: string
  announce: (published: PublishedEvent[]) => void
  log: Log
}

/** Again for one that was canceled before: the answer is the same. @throws AppError `not_found`, `message_not_cancelable` */
export async function cancelMessage(deps: CancelDeps, sessionId: string, id: string): Promise<MessageRecord> {
  const outcome = await deps.messages.cancel(sessionId, id, Date.now(), describeMessage)
  if (outcome === null) throw new AppError('not_found')
  if (outcome === 'too_late') {
    const message = await deps.messages.get(sessionId, id)
    if (message?.status === 'canceled') return message
    throw new AppError('message_not_cancelable')
  }
  deps.announce(outcome.published)
  // What stays in the queue is dropped when its turn comes.
  const removed = deps.queues.removeAll(sessionId, [id])
  removed
    .then(() => wakeSession(deps.redis, deps.prefix, sessionId, 'held'))
    .catch((err: unknown) => deps.log.debug({ err, sessionId, messageId: id }, 'message.job_not_removed'))
  return outcome.record
}
