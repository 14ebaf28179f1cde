// BullMQ the way this product uses it: bounded histories, one prefix, no blocking connection where many queues share a process.
import {
  createRedisBackend,
  DelayedError,
  Queue,
  UnrecoverableError,
  Worker,
  type Job,
  type JobJson,
  type JobsOptions,
  type Processor,
  type WorkerOptions,
} from 'bullmq'
import type { Redis } from 'ioredis'
import { bullPrefix } from './redis.ts'

export type { Job, JobsOptions, Queue, Worker }

/** Jobs are removed when they end, but for the last few that an operator may want to see. */
const boundedJobs: JobsOptions = { removeOnComplete: { count: 20 }, removeOnFail: { count: 1_000, age: 7 * 24 * 3600 } }

/** The producer's side. The default event stream would cost half a megabyte per queue. Many queues may share `redis`. */
export function createQueue<Data>(name: string, redis: Redis, prefix: string, jobOptions: JobsOptions = {}): Queue<Data> {
  const queue = new Queue<Data>(name, {
    connection: redis,
    prefix: bullPrefix(prefix),
    defaultJobOptions: { ...boundedJobs, ...jobOptions },
    streams: { events: { maxLen: 100 } },
    skipVersionCheck: true,
  })
  queue.on('error', () => undefined) // the connection logs its own outages
  return queue
}

/** How long an idle worker waits on Redis before it looks for itself. A job ends the wait at once. */
const idleSeconds = 15

/**
 * A stock worker with its own blocking connection: for the few fixed queues. `redis` must be a 'worker' connection.
 * It asks Redis for its version: without that BullMQ rounds waits up to whole seconds, and delayed jobs come up to a second late.
 */
export function createWorker<Data>(
  name: string,
  redis: Redis,
  prefix: string,
  processor: Processor<Data>,
  options: Omit<WorkerOptions, 'connection' | 'prefix'> = {},
): Worker<Data> {
  const worker = new Worker<Data>(name, processor, {
    drainDelay: idleSeconds,
    ...options,
    connection: redis,
    prefix: bullPrefix(prefix),
    autorun: false,
  })
  worker.on('error', () => undefined)
  return worker
}

/**
 * A worker that is asked for jobs by `getNextJob(token, { block: false })`: no loop, no blocking connection, no lock renewal
 * (nothing renews locks outside `run()`, hence the long lock). 7 KB each, so one per session is affordable.
 */
export class PulledWorker<Data> extends Worker<Data> {
  /** Ends a job and takes the next one, under the same token, in one step and one round trip; undefined when there is none. */
  async completeAndTake(job: Job<Data>, token: string): Promise<Job<Data> | undefined> {
    const [data, id] = ((await job.moveToCompleted(null, token, true)) ?? []) as [JobJson?, string?]
    return data ? this.nextJobFromJobData(data, id, token) : undefined
  }
}

export function createPulledWorker<Data>(name: string, redis: Redis, prefix: string): PulledWorker<Data> {
  const worker = new PulledWorker<Data>(
    name,
    null,
    {
      connection: redis,
      prefix: bullPrefix(prefix),
      autorun: false,
      lockDuration: 600_000,
      skipVersionCheck: true,
      skipStalledCheck: true,
      skipLockRenewal: true,
    },
    (queueName, backendOptions) => createRedisBackend(queueName, backendOptions, { withBlockingConnection: false }),
  )
  worker.on('error', () => undefined)
  return worker
}

/**
 * `worker.close()` waits without limit for running jobs, and a second, forced call only joins the first. After the deadline this stops
 * waiting: what still runs is the process's end to cut, and those jobs run again elsewhere when their locks have expired.
 */
export async function closeWorker(worker: Worker<never> | Worker, deadlineMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, deadlineMs)
  })
  try {
    await Promise.race([worker.close(), deadline])
  } finally {
    clearTimeout(timer)
  }
}

/** Inside a processor: the job fails for good, with this as its reason. Never returns. */
export function giveUp(reason: string): never {
  throw new UnrecoverableError(reason)
}

/** Inside a processor: puts the job off until then, without counting an attempt. Never returns. */
export async function comeBackAt(job: Job<never> | Job, untilMs: number, token: string | undefined): Promise<never> {
  await job.moveToDelayed(untilMs, token)
  throw new DelayedError()
}
