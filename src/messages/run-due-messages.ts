// Messages whose time has come: scheduled ones join their lane, those that are worthless by now expire; a tick of the scheduler.
import type { Redis } from 'ioredis'
import type { Log } from '../platform/log.ts'
import { wakeSession } from '../sessions/live-session.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import type { MessagePlace, MessageStore } from '../store/message-store.ts'
import { describeMessage } from './message-events.ts'
import type { SendQueues } from './send-queue.ts'

export interface DueDeps {
  messages: Pick<MessageStore, 'listDue' | 'listExpired' | 'promote' | 'expire'>
  queues: Pick<SendQueues, 'addAll' | 'removeAll'>
  redis: Redis
  prefix: string
  announce: (published: PublishedEvent[]) => void
  log: Log
}

type Step = (deps: DueDeps, sessionId: string, ids: readonly string[]) => Promise<number>

const pageSize = 500
/** Of one session, in one transaction: those that follow wait for them. */
const stepSize = 100
const sessionsAtOnce = 8

/**
 * A page of each in turn, so that many that expire delay none that is due; until nothing is left or `signal` aborts. Returns how many
 * changed.
 */
export async function runDueMessages(deps: DueDeps, signal: AbortSignal): Promise<number> {
  const { messages } = deps
  for (let total = 0; ;) {
    const due = await messages.listDue(Date.now(), pageSize)
    total += await runSteps(deps, due, promote, signal)
    const expired = await messages.listExpired(Date.now(), pageSize)
    total += await runSteps(deps, expired, expire, signal)
    if (signal.aborted || (due.length < pageSize && expired.length < pageSize)) return total
  }
}

/**
 * Several sessions at a time, each step by step in the order given. A tick that is left behind ends with its step; another that runs
 * meanwhile comes to a later step only when the store has done the earlier ones, so that the order holds. A session that fails keeps no other
 * from its turn; then the first error is thrown.
 */
async function runSteps(deps: DueDeps, found: readonly MessagePlace[], step: Step, signal: AbortSignal): Promise<number> {
  const waiting = [...Map.groupBy(found, ({ sessionId }) => sessionId)]
  const errors: unknown[] = []
  let count = 0
  const runNext = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [sessionId, places] = next
      try {
        for (let i = 0; i < places.length && !signal.aborted; i += stepSize) {
          const ids = places.slice(i, i + stepSize).map(({ id }) => id)
          const changed = await step(deps, sessionId, ids)
          count += changed
        }
      } catch (err) {
        errors.push(err)
      }
    }
  }
  await Promise.all(Array.from({ length: sessionsAtOnce }, runNext))
  if (errors.length > 0) throw errors[0]
  return count
}

async function expire(deps: DueDeps, sessionId: string, ids: readonly string[]): Promise<number> {
  const expired = await deps.messages.expire(sessionId, ids, Date.now(), describeMessage)
  for (const { published } of expired) deps.announce(published)
  // What stays in the queue is dropped when its turn comes; what was taken meanwhile keeps its job.
  const gone = expired.map(({ record }) => record.id)
  await deps.queues.removeAll(sessionId, gone).catch((err: unknown) => {
    deps.log.debug({ err, sessionId }, 'message.job_not_removed')
  })
  if (expired.length > 0) await wakeSession(deps.redis, deps.prefix, sessionId, 'held')
  return expired.length
}

/** A process that dies between store and queue leaves the rest to the holder's comparison. */
async function promote(deps: DueDeps, sessionId: string, ids: readonly string[]): Promise<number> {
  const promoted = await deps.messages.promote(sessionId, ids, Date.now(), describeMessage)
  if (promoted.length === 0) return 0
  for (const { published } of promoted) deps.announce(published)
  await deps.queues.addAll(
    sessionId,
    promoted.map(({ record }) => record),
  )
  await wakeSession(deps.redis, deps.prefix, sessionId)
  return promoted.length
}
