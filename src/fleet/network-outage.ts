// When many sessions of a worker fail at once it is the network: a few probe, the others wait, and follow the first that gets through.
import { jittered } from '../platform/backoff.ts'
import { monotonicMs } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'

interface OutageDeps {
  /** Sessions this worker holds. */
  heldCount(): number
  /** One of ours got through after an outage: others may want to know. */
  onReturned?(): void
  log: Log
}

/** Failures of this many different sessions within the window, and of this part of all, are nobody's own. */
const windowMs = 10_000
const leastSessions = 3
const leastPart = 0.3
/** Pauses between probes: from the first to the last. */
const probeMs = { first: 250, last: 2_000, growth: 1.4 }

export class NetworkOutage {
  readonly #deps: OutageDeps
  readonly #failedAt = new Map<string, number>()
  readonly #waiting = new Set<(turn: 'probe' | 'follow') => void>()
  #since: number | undefined
  #gapMs = probeMs.first
  #timer: NodeJS.Timeout | undefined

  constructor(deps: OutageDeps) {
    this.#deps = deps
  }

  get isOn(): boolean {
    return this.#since !== undefined
  }

  /** A socket ended, or did not come about, for a reason that may be the network's. */
  failed(sessionId: string): void {
    const now = monotonicMs()
    this.#failedAt.delete(sessionId)
    this.#failedAt.set(sessionId, now)
    for (const [id, at] of this.#failedAt) {
      if (now - at <= windowMs) break
      this.#failedAt.delete(id)
    }
    const needed = Math.max(leastSessions, Math.ceil(this.#deps.heldCount() * leastPart))
    if (this.isOn || this.#failedAt.size < needed) return
    this.#since = now
    this.#gapMs = probeMs.first
    this.#deps.log.warn({ sessionCount: this.#failedAt.size }, 'network.lost')
    this.#scheduleProbe()
  }

  /** A session was logged in, or was given a QR code: WhatsApp can be reached. */
  succeeded(): void {
    this.#failedAt.clear()
    if (this.#since === undefined) return
    const durationMs = Math.round(monotonicMs() - this.#since)
    this.#since = undefined
    clearTimeout(this.#timer)
    this.#deps.log.info({ durationMs, waiting: this.#waiting.size }, 'network.returned')
    const followers = [...this.#waiting]
    this.#waiting.clear()
    for (const follow of followers) follow('follow')
    this.#deps.onReturned?.()
  }

  /** Another worker got through. Its network need not be ours: one of ours tries now, and the pauses are short again. */
  heardOfReturn(): void {
    if (!this.isOn) return
    clearTimeout(this.#timer)
    this.#gapMs = probeMs.first
    this.#probe()
  }

  /**
   * Waits out `delayMs`, or as long as the outage lasts: `follow` when it ended (at once, whatever was left of the delay), `probe` when it is
   * this session's turn to try while it lasts, `retry` after the delay without an outage.
   */
  async turn(delayMs: number, signal: AbortSignal): Promise<'probe' | 'follow' | 'retry'> {
    if (signal.aborted) return 'retry'
    return new Promise((resolve) => {
      const settle = (turn: 'probe' | 'follow' | 'retry') => {
        this.#waiting.delete(take)
        clearTimeout(timer)
        signal.removeEventListener('abort', abort)
        resolve(turn)
      }
      const take = (turn: 'probe' | 'follow') => settle(turn)
      const abort = () => settle('retry')
      const timer = setTimeout(() => {
        if (!this.isOn) settle('retry')
      }, delayMs)
      this.#waiting.add(take)
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#since = undefined
  }

  /** Probes overlap: a try may hang for its whole time limit while the network is back already. */
  #scheduleProbe(): void {
    this.#timer = setTimeout(() => this.#probe(), jittered(this.#gapMs, 0.2))
  }

  #probe(): void {
    if (!this.isOn) return
    const [prober] = this.#waiting
    if (prober) prober('probe')
    this.#gapMs = Math.min(this.#gapMs * probeMs.growth, probeMs.last)
    this.#scheduleProbe()
  }
}
