// Repeatable jobs: work that comes every few seconds or less often, run by one process of the fleet at a time and never beside itself.
import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { jittered } from './backoff.ts'
import type { Log } from './log.ts'
import { closeWorker, createQueue, createWorker } from './queue.ts'
import { redisKey } from './redis.ts'
import { lockMs, renewScript, runTick, type RunningTicks, type Tick } from './run-tick.ts'

interface TickDeps {
  /** Of role 'worker'. */
  redis: Redis
  prefix: string
  log: Log
}

export const tickQueueName = 'ticks'
/** A Redis that lost its data has forgotten the schedulers: they are looked for this often, and written again at each reconnect. */
const lookEveryMs = 10_000
/** Looking for jobs of killed processes costs commands; a tick waits for no such job, since its next one is made when it begins. */
const stalledEveryMs = 30_000
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
  const upsertMissing = async () => {
    if ((await queue.getJobSchedulersCount()) < ticks.length) await upsertAll()
  }
  const timer = setInterval(
    () => void upsertMissing().catch((err: unknown) => log.warn({ err }, 'tick.schedule_failed')),
    jittered(lookEveryMs, 0.2),
  )

  const worker = createWorker<object>(
    tickQueueName,
    redis,
    prefix,
    async (job) => {
      const tick = byName.get(job.name)
      if (tick) await runOnce({ redis, prefix, log }, tick, stopping.signal)
    },
    { concurrency: ticks.length, lockDuration: 10_000, stalledInterval: stalledEveryMs, maxStalledCount: 1_000 },
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

async function runOnce({ redis, prefix, log }: TickDeps, tick: Tick, stopping: AbortSignal): Promise<void> {
  const lock = redisKey(prefix, 'tick', tick.name)
  const token = randomUUID()
  if (stopping.aborted || (await redis.set(lock, token, 'PX', lockMs, 'NX')) === null) {
    log.debug({ tick: tick.name }, 'tick.skipped')
    return
  }
  const renewal = setInterval(() => {
    redis
      .eval(renewScript, 1, lock, token, lockMs)
      .catch((err: unknown) => log.warn({ err, tick: tick.name }, 'tick.renewal_failed'))
  }, lockMs / 3)
  try {
    await runTick(log, tick, stopping)
  } finally {
    clearInterval(renewal)
    await redis.eval(unlockScript, 1, lock, token)
  }
}
