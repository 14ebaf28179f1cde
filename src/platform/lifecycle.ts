// The life of a process: start, ready, one clean stop with a deadline, and nothing unhandled in between.
import type { Log } from './log.ts'

/** Something that must be ended; run in reverse order of registration. */
export type StopStep = { name: string; stop: () => Promise<void> | void }

export interface Lifecycle {
  /** Registers what must be stopped later. */
  onStop(name: string, stop: () => Promise<void> | void): void
  /** Aborts when the stop begins. */
  readonly stopping: AbortSignal
  /** Names work that runs beside: its failure is logged and ends the process, never swallowed. */
  background(name: string, work: Promise<unknown>): void
}

interface RunOptions {
  name: string
  log: Log
  /** Milliseconds a stop may take before the process ends by force. Default 15 s, below PM2's kill_timeout. */
  stopDeadlineMs?: number
  /** Says whether an unhandled rejection is one a library is known to cause; it must then deal with it. */
  forgives?: (reason: unknown) => boolean
}

/**
 * Runs a process: calls `start`, tells PM2 `ready`, and stops cleanly once on SIGTERM, SIGINT or PM2's shutdown message.
 * A failed start, an unhandled rejection or exception exits with 1.
 */
export async function runProcess(options: RunOptions, start: (life: Lifecycle) => Promise<void>): Promise<void> {
  const { name, log } = options
  const abort = new AbortController()
  const steps: StopStep[] = []
  let stopped: Promise<void> | undefined

  const stop = (reason: string, exitCode: number): Promise<void> => {
    stopped ??= runStop(reason, exitCode)
    return stopped
  }
  const runStop = async (reason: string, exitCode: number): Promise<void> => {
    log.info({ reason }, 'process.stopping')
    const startedAt = performance.now()
    const force = setTimeout(() => {
      log.error({ reason }, 'process.stop_timed_out')
      process.exit(exitCode || 1)
    }, options.stopDeadlineMs ?? 15_000)
    abort.abort()
    for (const step of steps.toReversed()) {
      try {
        await step.stop()
      } catch (err) {
        log.error({ err, step: step.name }, 'process.stop_step_failed')
      }
    }
    clearTimeout(force)
    log.info({ reason, durationMs: Math.round(performance.now() - startedAt) }, 'process.stopped')
    process.exit(exitCode)
  }
  const crash = (err: unknown, event: string) => {
    log.fatal({ err }, event)
    void stop(event, 1)
  }

  process.once('SIGTERM', () => void stop('SIGTERM', 0))
  process.once('SIGINT', () => void stop('SIGINT', 0))
  process.on('message', (message) => {
    if (message === 'shutdown') void stop('shutdown message', 0)
  })
  process.on('uncaughtException', (err) => crash(err, 'process.uncaught_exception'))
  process.on('unhandledRejection', (reason) => {
    if (!options.forgives?.(reason)) crash(reason, 'process.unhandled_rejection')
  })

  const life: Lifecycle = {
    onStop: (stepName, run) => steps.push({ name: stepName, stop: run }),
    stopping: abort.signal,
    background: (workName, work) => {
      work.catch((err: unknown) => {
        if (!abort.signal.aborted) crash(err, `process.background_failed.${workName}`)
      })
    },
  }
  try {
    await start(life)
    log.info({ name }, 'process.started')
    process.send?.('ready')
  } catch (err) {
    crash(err, 'process.start_failed')
  }
}
