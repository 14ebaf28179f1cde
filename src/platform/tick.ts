// Ticks: work that repeats, run by one process of the fleet at a time, bounded, and never beside itself.
import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { jittered } from './backoff.ts'
import { withDeadline } from './clock.ts'
import type { Log } from './log.ts'
import { counter, histogram } from './metrics.ts'
import { closeWorker, createQueue, createWorker } from './queue.ts'
import { redisKey } from './redis.ts'

export interface Tick {
  /** Lower case letters and dashes: it names the job scheduler. */
  name: string
  everyMs: number
  /** After this time `signal` aborts; the run that does not heed it is left behind and reported. */
  deadlineMs: number
  run: (signal: AbortSignal) => Promise<unknown>
}

interface TickDeps {
  /** Of role 'worker'. */
  redis: Redis
  prefix: string
  log: Log
}

export interface RunningTicks {
  close(deadlineMs: number): Promise<void>
}

const tickSeconds = histogram('ujumbe_tick_seconds', 'Runs of repeating work, by tick.', [0.01, 0.05, 0.25, 1, 5, 20], ['tick'])
const tickFailures = counter('ujumbe_tick_failures_total', 'Runs of repeating work that failed, by tick.', ['tick'])

export const tickQueueName = 'ticks'
/** A Redis that lost its data has forgotten the schedulers: they are written again this often, and at each reconnect. */
const upsertEveryMs = 10_000
/** A tick's lock outlives a killed process by this; a live one renews it. */
const lockMs = 5_000
/** How long after its deadline a run is still waited for. */
const lateMs = 5_000
const renewScript = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0`
const unlockScript = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`

/**
 * Any number of processes may run the same ticks: BullMQ's job schedulers give each due time to one of them, and a lock per tick skips a
 * time that comes while the one before is still at work. A process killed in a tick costs that tick some seconds.
 */
export async function runTicks(deps: TickDeps, ticks: readonly Tick[]): Promise<RunningTicks> {
  const { redis, prefix, log } = deps
  const byName = new Map(ticks.map((tick) => [tick.name, tick]))
  const queue = createQueue<object>(tickQueueName, redis, prefix, { removeOnComplete: true, removeOnFail: true })
  const stopping = new AbortController()

  const upsertAll = async () => {
    for (const { name, everyMs } of ticks) await queue.upsertJobScheduler(name, { every: everyMs }, { name })
  }
  const repeatUpsert = () => {
    upsertAll().catch((err: unknown) => log.warn({ err }, 'tick.schedule_failed'))
  }
  await upsertAll()
  for (const { key } of await queue.getJobSchedulers()) {
    if (!byName.has(key)) await queue.removeJobScheduler(key)
  }
  redis.on('ready', repeatUpsert)
  const timer = setInterval(repeatUpsert, jittered(upsertEveryMs, 0.2))

  const worker = createWorker<object>(
    tickQueueName,
    redis,
    prefix,
    async (job) => {
      const tick = byName.get(job.name)
      if (tick) await runOnce({ redis, prefix, log }, tick, stopping.signal)
    },
    { concurrency: ticks.length, lockDuration: 10_000, stalledInterval: 5_000, maxStalledCount: 1_000 },
  )
  worker.run().catch((err: unknown) => log.error({ err }, 'tick.worker_failed'))

  return {
    close: async (deadlineMs) => {
      stopping.abort()
      redis.off('ready', repeatUpsert)
      clearInterval(timer)
      await closeWorker(worker, deadlineMs)
      await queue.close()
    },
  }
}

/** A failing tick is logged and comes again at its next time; it never ends the process. */
async function runOnce(deps: TickDeps, tick: Tick, stopping: AbortSignal): Promise<void> {
  const { redis, log } = deps
  const lock = redisKey(deps.prefix, 'tick', tick.name)
  const token = randomUUID()
  if (stopping.aborted || (await redis.set(lock, token, 'PX', lockMs, 'NX')) === null) {
    log.debug({ tick: tick.name }, 'tick.skipped')
    return
  }
  const startedAt = performance.now()
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(), tick.deadlineMs)
  const renewal = setInterval(() => {
    redis
      .eval(renewScript, 1, lock, token, lockMs)
      .catch((err: unknown) => log.warn({ err, tick: tick.name }, 'tick.renewal_failed'))
  }, lockMs / 3)
  try {
    const result = await withDeadline(tick.run(AbortSignal.any([stopping, deadline.signal])), tick.deadlineMs + lateMs)
    tickSeconds.observe({ tick: tick.name }, (performance.now() - startedAt) / 1_000)
    log.debug({ tick: tick.name, result, durationMs: Math.round(performance.now() - startedAt) }, 'tick.ran')
  } catch (err) {
    tickFailures.inc({ tick: tick.name })
    log.error({ err, tick: tick.name }, 'tick.failed')
  } finally {
    clearTimeout(timer)
    clearInterval(renewal)
    await redis.eval(unlockScript, 1, lock, token)
  }
}
