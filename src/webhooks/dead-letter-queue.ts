// Dead letters as operators see them: a queue whose jobs fail at once with the reason, and of which a retry delivers again.
import type { Redis } from 'ioredis'
import type { Log } from '../platform/log.ts'
import { createQueue, createWorker, giveUp, type Queue, type Worker } from '../platform/queue.ts'

export const deadLetterQueueName = 'webhook-dead-letters'

interface DeadLetter {
  endpointId: string
  reason: string
}

/** A picture of what the store knows, so that a bounded one will do. */
const keptCount = 1_000
const keptSeconds = 7 * 24 * 3_600
const maxAddsInFlight = 500

export class DeadLetterQueue {
  private readonly queue: Queue<DeadLetter>
  private readonly log: Log
  private inFlight = 0

  constructor(redis: Redis, prefix: string, log: Log) {
    this.queue = createQueue<DeadLetter>(deadLetterQueueName, redis, prefix, {
      removeOnComplete: true,
      removeOnFail: { count: keptCount, age: keptSeconds },
    })
    this.log = log
  }

  /** Never throws and never waits. */
  add(deliveryId: string, letter: DeadLetter): void {
    if (this.inFlight >= maxAddsInFlight) return
    this.inFlight += 1
    this.queue
      .add('dead', letter, { jobId: deliveryId })
      .catch((err: unknown) => this.log.debug({ err, deliveryId }, 'webhook.dead_letter_not_shown'))
      .finally(() => {
        this.inFlight -= 1
      })
  }

  async close(): Promise<void> {
    await this.queue.close()
  }
}

interface DeadLetterDeps {
  redis: Redis
  prefix: string
  log: Log
  /** @throws AppError when that cannot be; the letter then stays, with what was thrown as its reason. */
  redeliver(deliveryId: string): Promise<unknown>
}

/** Not running yet: call `run()`. */
export function createDeadLetterWorker(deps: DeadLetterDeps, concurrency: number): Worker<DeadLetter> {
  return createWorker<DeadLetter>(
    deadLetterQueueName,
    deps.redis,
    deps.prefix,
    async (job) => {
      // The first run only puts it among the failed ones; who retries it there wants it delivered.
      if (job.attemptsMade === 0 && job.failedReason === undefined) giveUp(job.data.reason)
      await deps.redeliver(job.id ?? '')
    },
    { concurrency },
  )
}
