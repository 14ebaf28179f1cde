// Finds sockets that look connected but are deaf, long before WhatsApp's own keepalive would, and writes down what it does and why.
import type { Redis } from 'ioredis'
import { monotonicMs } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import { reconnectsKey, watchdogKey } from '../sessions/session-keys.ts'
import type { WhatsAppClient } from '../whatsapp/whatsapp-client.ts'

export interface Watched {
  sessionId: string
  client: Pick<WhatsAppClient, 'ping' | 'lastTrafficAt' | 'isOpen'>
  /** A message is on its way: silence then means more. */
  isBusy(): boolean
  /** The socket is dead: replace it. */
  onDeaf(reason: string): void
}

/** Silence after which a socket is asked whether it still hears: while idle, and while a send waits for its ack. */
const quietMs = { idle: 8_000, busy: 4_000 }
const pingMs = 5_000
const tickMs = 1_000

export class Watchdog {
  readonly #log: Log
  readonly #watched = new Map<string, Watched>()
  readonly #asking = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #lastTickAt = monotonicMs()

  constructor(deps: { log: Log }) {
    this.#log = deps.log
  }

  /** Until `unwatch`, or until another socket of the session is watched. */
  watch(watched: Watched): void {
    this.#watched.set(watched.sessionId, watched)
    this.#timer ??= setInterval(() => this.#tick(), tickMs)
  }

  unwatch(watched: Watched): void {
    if (this.#watched.get(watched.sessionId) === watched) this.#watched.delete(watched.sessionId)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#watched.clear()
  }

  #tick(): void {
    const now = monotonicMs()
    const wasBlocked = now - this.#lastTickAt > 3 * tickMs
    this.#lastTickAt = now
    // After a pause of our own the silence is ours: read what has arrived meanwhile first.
    if (wasBlocked) return
    for (const watched of this.#watched.values()) {
      const silence = now - watched.client.lastTrafficAt
      if (!watched.client.isOpen || silence < (watched.isBusy() ? quietMs.busy : quietMs.idle)) continue
      if (!this.#asking.has(watched.sessionId)) void this.#ask(watched)
    }
  }

  async #ask(watched: Watched): Promise<void> {
    const { sessionId, client } = watched
    this.#asking.add(sessionId)
    try {
      if (await client.ping(pingMs)) return
      if (this.#watched.get(sessionId) !== watched || !client.isOpen) return
      const silenceMs = Math.round(monotonicMs() - client.lastTrafficAt)
      if (silenceMs < pingMs) return
      this.#log.warn({ sessionId, silenceMs }, 'watchdog.found_deaf')
      this.#watched.delete(sessionId)
      watched.onDeaf(`no answer to a ping, ${silenceMs} ms of silence`)
    } catch (err) {
      this.#log.warn({ err, sessionId }, 'watchdog.ping_failed')
    } finally {
      this.#asking.delete(sessionId)
    }
  }
}

const keepMs = 7 * 24 * 3600 * 1000
const keepActions = 50
const keepReconnects = 200

/** What the watchdog did, for the health score: newest first, at most 50 per session, a week. */
export async function recordWatchdogAction(
  deps: { redis: Redis; prefix: string },
  sessionId: string,
  action: { action: 'reconnect'; reason: string; at: number },
): Promise<void> {
  await pushBounded(deps.redis, watchdogKey(deps.prefix, sessionId), JSON.stringify(action), keepActions)
}

/** When and why a socket ended, for the health score and the metrics: newest first, at most 200 per session, a week. */
export async function recordReconnect(
  deps: { redis: Redis; prefix: string },
  sessionId: string,
  reconnect: { reason: string; at: number },
): Promise<void> {
  await pushBounded(deps.redis, reconnectsKey(deps.prefix, sessionId), JSON.stringify(reconnect), keepReconnects)
}

async function pushBounded(redis: Redis, key: string, value: string, count: number): Promise<void> {
  await redis
    .multi()
    .lpush(key, value)
    .ltrim(key, 0, count - 1)
    .pexpire(key, keepMs)
    .exec()
}
