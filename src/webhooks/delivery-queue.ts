// The delivery queues: first attempts, and apart from them retries and replays, so that these never delay what is new.
import type { Redis } from 'ioredis'
import { jittered } from '../platform/backoff.ts'
import { AppError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { comeBackAt, createQueue, createWorker, type Queue, type Worker } from '../platform/queue.ts'
import { EventNotice } from './event-notice.ts'

export const firstAttemptQueueName = 'webhook-deliveries'
export const retryQueueName = 'webhook-retries'
export const replayQueueName = 'webhook-replays'
type DeliveryQueueName = typeof firstAttemptQueueName | typeof retryQueueName | typeof replayQueueName

/** Ids only: what an event says, and the secret it is signed with, stay in the store. */
export interface DeliveryJob {
  endpointId: string
  /** Attempts made before this one; a job that no longer fits its delivery is dropped. */
  attempt: number
}

/** Jobs keep nothing when they end: the store is the record, and a kept id would swallow a later job of that name. */
const leavesNothing = { removeOnComplete: true, removeOnFail: true }

/** Adds waiting for Redis' answer; more are left to the retry tick, so that a lost Redis cannot fill the memory. */
const maxAddsInFlight = 5_000
/** Jobs waiting for a worker; more are left to the retry tick, so that workers which are away cannot fill Redis. A job is a kilobyte. */
const maxWaiting = 10_000
/** The retry tick's: what workers take up within moments, so that what is new hardly waits behind it. */
const maxWaitingRetries = 200
const lookEveryMs = 1_000

export class DeliveryQueue {
  readonly queue: Queue<DeliveryJob>
  /** Where events are announced, those who read them live are told as well. */
  readonly notice: EventNotice | undefined
  private inFlight = 0
  private waiting = 0
  private lookedAt = 0

  constructor(queue: Queue<DeliveryJob>, notice?: EventNotice) {
    this.queue = queue
    this.notice = notice
  }

  /** False when too many adds or jobs wait already, as far as was seen a second ago. */
  get hasRoom(): boolean {
    const now = performance.now()
    if (now - this.lookedAt > lookEveryMs) {
      this.lookedAt = now
      this.countWaiting().catch(() => undefined) // adds meet the same Redis
    }
    return this.inFlight < maxAddsInFlight && this.waiting < maxWaiting
  }

  /** How many jobs the retry tick may add. */
  async readRoom(): Promise<number> {
    return Math.max(0, maxWaitingRetries - (await this.countWaiting()))
  }

  private async countWaiting(): Promise<number> {
    this.waiting = await this.queue.getWaitingCount()
    return this.waiting
  }

  /** A job of that delivery and attempt which is there already stays the only one. */
  async add(deliveryId: string, job: DeliveryJob): Promise<void> {
    this.inFlight += 1
    try {
      await this.queue.add('deliver', job, { jobId: job.attempt === 0 ? deliveryId : `${deliveryId}-${job.attempt}` })
    } finally {
      this.inFlight -= 1
    }
  }

  async close(): Promise<void> {
    this.notice?.close()
    await this.queue.close()
  }
}

/** First attempts. `redis` may be of any role; many queues may share it. */
export function createDeliveryQueue(redis: Redis, prefix: string): DeliveryQueue {
  const queue = createQueue<DeliveryJob>(firstAttemptQueueName, redis, prefix, leavesNothing)
  return new DeliveryQueue(queue, new EventNotice(redis, prefix))
}

export function createRetryQueue(redis: Redis, prefix: string): DeliveryQueue {
  return new DeliveryQueue(createQueue<DeliveryJob>(retryQueueName, redis, prefix, leavesNothing))
}

/** What replays make, its retries too. */
export function createReplayQueue(redis: Redis, prefix: string): DeliveryQueue {
  return new DeliveryQueue(createQueue<DeliveryJob>(replayQueueName, redis, prefix, leavesNothing))
}

export type DeliveryHandler = (
  job: DeliveryJob & { deliveryId: string },
) => Promise<{ outcome: 'deferred'; until: number } | { outcome: string }>

/**
 * A killed worker's jobs run again elsewhere when their locks have expired and a check has seen it: after `lockMs` and one `stalledCheckMs`
 * at most. A worker that lives renews them each second, so that it may stand still for three before others take its jobs for lost.
 */
const lockMs = 4_000
const lockRenewMs = 1_000
const stalledCheckMs = 2_000
const afterErrorMs = 5_000
/** A bug or a missing master key: it will not be better in a moment, and each failure is logged with its stack. */
const afterFaultMs = 60_000

/** Not running yet: call `run()`. A deferred job, or one whose handler failed, comes back without a retry of BullMQ's being counted. */
export function createDeliveryWorker(
  name: DeliveryQueueName,
  deps: { redis: Redis; prefix: string; log: Log; deliver: DeliveryHandler },
  concurrency: number,
): Worker<DeliveryJob> {
  // A Redis that is away for longer than a lock lives gives a job out again while its request is still under way: it is joined, not repeated.
  const underWay = new Map<string, ReturnType<DeliveryHandler>>()
  const deliver = (jobId: string, input: Parameters<DeliveryHandler>[0]) => {
    const begun = underWay.get(jobId)
    if (begun) return begun
    const beginning = deps.deliver(input).finally(() => underWay.delete(jobId))
    underWay.set(jobId, beginning)
    return beginning
  }
  return createWorker<DeliveryJob>(
    name,
    deps.redis,
    deps.prefix,
    async (job, token) => {
      const jobId = job.id ?? ''
      const deliveryId = deliveryIdOf(jobId)
      let until: number
      try {
        const result = await deliver(jobId, { ...job.data, deliveryId })
        if (!('until' in result)) return
        until = result.until
      } catch (err) {
        const isExpected = err instanceof AppError && err.retryable
        deps.log[isExpected ? 'info' : 'error']({ err, deliveryId, endpointId: job.data.endpointId }, 'webhook.delivery_failed')
        until = Date.now() + jittered(isExpected ? afterErrorMs : afterFaultMs, 0.2)
      }
      await comeBackAt(job, until, token)
    },
    { concurrency, lockDuration: lockMs, lockRenewTime: lockRenewMs, stalledInterval: stalledCheckMs, maxStalledCount: 3 },
  )
}

function deliveryIdOf(jobId: string): string {
  const end = jobId.indexOf('-')
  return end === -1 ? jobId : jobId.slice(0, end)
}
