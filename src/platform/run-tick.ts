// One run of work that repeats: measured, bounded, and never the end of its process.
import { withDeadline } from './clock.ts'
import type { Log } from './log.ts'
import { counter, histogram } from './metrics.ts'

export interface Tick {
  /** Lower case letters and dashes. */
  name: string
  everyMs: number
  /** After this time `signal` aborts; the run that does not heed it is left behind and reported. */
  deadlineMs: number
  run: (signal: AbortSignal) => Promise<unknown>
}

export interface RunningTicks {
  close(deadlineMs: number): Promise<void>
}

/** A lock on a tick outlives a killed process by this; a live one renews it. */
export const lockMs = 5_000
/** For a lock that is ours only while it holds our token. */
export const renewScript = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0`

const tickSeconds = histogram('ujumbe_tick_seconds', 'Runs of repeating work, by tick.', [0.01, 0.05, 0.25, 1, 5, 20], ['tick'])
const tickFailures = counter('ujumbe_tick_failures_total', 'Runs of repeating work that failed, by tick.', ['tick'])
/** How long after its deadline a run is still waited for. */
const lateMs = 5_000

/** Never rejects: a tick that fails is logged and comes again at its next time. */
export async function runTick(log: Log, tick: Tick, stopping: AbortSignal): Promise<void> {
  const startedAt = performance.now()
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(), tick.deadlineMs)
  try {
    const result = await withDeadline(tick.run(AbortSignal.any([stopping, deadline.signal])), tick.deadlineMs + lateMs)
    const durationMs = performance.now() - startedAt
    tickSeconds.observe({ tick: tick.name }, durationMs / 1_000)
    log.debug({ tick: tick.name, result, durationMs: Math.round(durationMs) }, 'tick.ran')
  } catch (err) {
    tickFailures.inc({ tick: tick.name })
    log.error({ err, tick: tick.name }, 'tick.failed')
  } finally {
    clearTimeout(timer)
  }
}
