// Finds sockets that look connected but are deaf, or on which sends are never acknowledged, long before WhatsApp's own keepalive would.
import { monotonicMs } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { WhatsAppClient } from '../whatsapp/whatsapp-client.ts'

export interface Watched {
  sessionId: string
  client: Pick<WhatsAppClient, 'ping' | 'lastTrafficAt' | 'unackedSince' | 'isOpen'>
  /** A message is on its way: silence then means more. */
  isBusy(): boolean
  /** The socket is dead: replace it. */
  onDeaf(reason: string): void
  /** The socket hears, but what is sent through it is not acknowledged: replace it. */
  onUnacked(reason: string): void
}

/** Silence after which a socket is asked whether it still hears: while idle, and while a send waits for its ack. */
const quietMs = { idle: 8_000, busy: 4_000 }
const pingMs = 5_000
/** The server acks at once. Sends that are waited for end after 20 s by themselves; this is for those that a receipt has proved meanwhile. */
const unackedMs = 22_000
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
      const { client } = watched
      if (client.isOpen && now - (client.unackedSince ?? now) > unackedMs) {
        this.#replaceUnacked(watched)
        continue
      }
      const silence = now - client.lastTrafficAt
      if (!client.isOpen || silence < (watched.isBusy() ? quietMs.busy : quietMs.idle)) continue
      if (!this.#asking.has(watched.sessionId)) void this.#ask(watched)
    }
  }

  #replaceUnacked(watched: Watched): void {
    this.#log.warn({ sessionId: watched.sessionId }, 'watchdog.found_unacked')
    this.#watched.delete(watched.sessionId)
    watched.onUnacked(`pings and receipts come, but no ack for ${unackedMs / 1_000} s`)
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
