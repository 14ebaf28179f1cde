// Beats: ticks that come too often for a job each. Every process has their timers; who sets a beat's key first runs it this time.
import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { sleep, withDeadline } from './clock.ts'
import type { Log } from './log.ts'
import { redisKey } from './redis.ts'
import { lockMs, renewScript, runTick, type RunningTicks, type Tick } from './run-tick.ts'

interface BeatDeps {
  /** Of role 'worker'. */
  redis: Redis
  prefix: string
  log: Log
}

/** Of the period. The rest is for timers that come early. */
const keptPart = 0.9

/**
 * Any number of processes may have the same beats: each time is run by one of them, for one command. A run that takes longer than its
 * period keeps the others off until it ends. A process killed in a short run costs that beat nothing, in a long one some seconds.
 */
export function runBeats(deps: BeatDeps, beats: readonly Tick[]): RunningTicks {
  const stopping = new AbortController()
  const loops = beats.map((beat) => repeat(deps, beat, stopping.signal))
  return {
    close: async (deadlineMs) => {
      stopping.abort()
      await withDeadline(Promise.all(loops), deadlineMs).catch(() => deps.log.warn('beat.left_behind'))
    },
  }
}

async function repeat(deps: BeatDeps, beat: Tick, stopping: AbortSignal): Promise<void> {
  while (!stopping.aborted) {
    const startedAt = performance.now()
    try {
      await runOnce(deps, beat, stopping)
    } catch (err) {
      deps.log.warn({ err, tick: beat.name }, 'beat.not_claimed')
    }
    await sleep(Math.max(0, startedAt + beat.everyMs - performance.now()), stopping)
  }
}

async function runOnce({ redis, prefix, log }: BeatDeps, beat: Tick, stopping: AbortSignal): Promise<void> {
  const key = redisKey(prefix, 'beat', beat.name)
  const token = randomUUID()
  const keptMs = Math.ceil(beat.everyMs * keptPart)
  const endsAt = performance.now() + keptMs
  if ((await redis.set(key, token, 'PX', keptMs, 'NX')) === null) return
  let isKept = false
  const keep = (ms: number) => {
    isKept = true
    redis.eval(renewScript, 1, key, token, ms).catch((err: unknown) => log.warn({ err, tick: beat.name }, 'beat.not_kept'))
  }
  // The first comes well within the period; from then on the key lives long enough for few of them.
  let renewal = setTimeout(function again() {
    keep(lockMs)
    renewal = setTimeout(again, lockMs / 3)
  }, keptMs / 3)
  try {
    await runTick(log, beat, stopping)
  } finally {
    clearTimeout(renewal)
    if (isKept) keep(Math.max(1, Math.ceil(endsAt - performance.now())))
  }
}
