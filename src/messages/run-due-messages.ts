// Messages whose time has come: scheduled ones join their lane, those that are worthless by now expire; a tick of the scheduler.
import type { Redis } from 'ioredis'
import type { Log } from '../platform/log.ts'
import { wakeSession } from '../sessions/live-session.ts'
import type { Outcome, PublishedEvent } from '../store/event-store.ts'
import type { MessageRecord, MessageStore } from '../store/message-store.ts'
import { describeMessage } from './message-events.ts'
import type { SendQueues } from './send-queue.ts'

export interface DueDeps {
  messages: Pick<MessageStore, 'promoteDue' | 'expireDue'>
  queues: Pick<SendQueues, 'addAll' | 'removeAll'>
  redis: Redis
  prefix: string
  announce: (published: PublishedEvent[]) => void
  log: Log
}

const pageSize = 500

/** Expires first, so that nothing is queued only to expire. A page at a time, until nothing is due. Returns how many changed. */
export async function runDueMessages(deps: DueDeps, signal: AbortSignal): Promise<number> {
  const expired = await inPages(signal, () => expirePage(deps))
  return expired + (await inPages(signal, () => promotePage(deps)))
}

async function inPages(signal: AbortSignal, runPage: () => Promise<number>): Promise<number> {
  for (let total = 0; ;) {
    const count = await runPage()
    total += count
    if (count < pageSize || signal.aborted) return total
  }
}

async function expirePage(deps: DueDeps): Promise<number> {
  const expired = await deps.messages.expireDue(Date.now(), pageSize, describeMessage)
  for (const { published } of expired) deps.announce(published)
  for (const [sessionId, messages] of bySession(expired)) {
    // What stays in the queue is dropped when its turn comes.
    const ids = messages.map(({ id }) => id)
    await deps.queues.removeAll(sessionId, ids).catch((err: unknown) => {
      deps.log.debug({ err, sessionId }, 'message.job_not_removed')
    })
  }
  return expired.length
}

/** They are in order of their time. A process that dies between store and queue leaves the rest to the holder's comparison. */
async function promotePage(deps: DueDeps): Promise<number> {
  const promoted = await deps.messages.promoteDue(Date.now(), pageSize, describeMessage)
  for (const { published } of promoted) deps.announce(published)
  for (const [sessionId, messages] of bySession(promoted)) {
    await deps.queues.addAll(sessionId, messages)
    await wakeSession(deps.redis, deps.prefix, sessionId)
  }
  return promoted.length
}

function bySession(outcomes: readonly Outcome<MessageRecord>[]): Map<string, MessageRecord[]> {
  return Map.groupBy(
    outcomes.map(({ record }) => record),
    ({ sessionId }) => sessionId,
  )
}
