// The right to open a socket to WhatsApp: few handshakes at once per process, pairing first, and one rate for the whole fleet.
import { monotonicMs, sleep } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import { defineScript } from '../platform/redis-script.ts'
import { socketOpensKey } from '../sessions/session-keys.ts'
import type { LiveDeps } from '../sessions/live-session.ts'
import { socketOpens } from './fleet-metrics.ts'

/** Somebody waits at a screen for a pairing; a session after pairing (`restart`) is in the middle of it. */
export const openPriorities = ['pairing', 'restart', 'probe', 'normal'] as const
export type OpenPriority = (typeof openPriorities)[number]

interface OpensDeps extends LiveDeps {
  /** For the whole fleet. */
  perSecond: number
  log: Log
  handshakes?: number
}

// GCRA without burst: each open gets its own moment, an even interval after the last one. Answers milliseconds to wait.
const reserveScript = defineScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
if at > now + 60000 then at = now end
redis.call('SET', KEYS[1], string.format('%.3f', at + tonumber(ARGV[1])), 'PX', 61000)
return math.ceil(at - now)
`)

/** Below the configured rate by this much, so that late timers do not push a second above it. */
const slack = 0.95
/** A moment missed by more than this (a blocked process) is given up for a new one. */
const tooLateMs = 50

export class SocketOpens {
  readonly #deps: OpensDeps
  readonly #queues: Record<OpenPriority, (() => void)[]> = { pairing: [], restart: [], probe: [], normal: [] }
  #free: number

  constructor(deps: OpensDeps) {
    this.#deps = deps
    this.#free = deps.handshakes ?? 8
  }

  /** Sessions of this process that wait for their turn. */
  get waiting(): number {
    return openPriorities.reduce((sum, priority) => sum + this.#queues[priority].length, 0)
  }

  /**
   * Resolves when a socket may be opened now, with the function that ends the handshake (open, first QR or closed; idempotent);
   * null when `signal` aborted first.
   */
  async acquire(priority: OpenPriority, signal: AbortSignal): Promise<(() => void) | null> {
    if (!(await this.#slot(priority, signal))) return null
    let isHeld = true
    const release = () => {
      if (!isHeld) return
      isHeld = false
      this.#pass()
    }
    while (!signal.aborted) {
      const waitMs = await this.#reserve()
      const dueAt = monotonicMs() + waitMs
      if (waitMs > 0) await sleep(waitMs, signal)
      if (signal.aborted || monotonicMs() - dueAt > tooLateMs) continue
      socketOpens.inc()
      return release
    }
    release()
    return null
  }

  async #slot(priority: OpenPriority, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false
    if (this.#free > 0) {
      this.#free -= 1
      return true
    }
    return new Promise((resolve) => {
      const queue = this.#queues[priority]
      const take = () => {
        signal.removeEventListener('abort', leave)
        resolve(true)
      }
      const leave = () => {
        queue.splice(queue.indexOf(take), 1)
        resolve(false)
      }
      signal.addEventListener('abort', leave, { once: true })
      queue.push(take)
    })
  }

  #pass(): void {
    for (const priority of openPriorities) {
      const next = this.#queues[priority].shift()
      if (next) {
        next()
        return
      }
    }
    this.#free += 1
  }

  /** Without Redis nothing may be opened anyway: try again soon. */
  async #reserve(): Promise<number> {
    const { redis, prefix, perSecond, log } = this.#deps
    try {
      return Number(await reserveScript(redis, [socketOpensKey(prefix)], [1_000 / (perSecond * slack)]))
    } catch (err) {
      log.debug({ err }, 'socket_open.reserve_failed')
      await sleep(250)
      return -1_000
    }
  }
}
