// When a session may try again after its socket ended: exponential backoff with full jitter, forgotten after a stable minute.
import { backoffMs, jittered, type BackoffPolicy } from '../platform/backoff.ts'
import type { DisconnectCause } from '../whatsapp/disconnect-reason.ts'

const policies = {
  retry: { baseMs: 500, capMs: 60_000, floorMs: 50 },
  /** Not the session's fault: it waits, but never long. */
  network: { baseMs: 500, capMs: 5_000, floorMs: 50 },
  retry_slowly: { baseMs: 5_000, capMs: 300_000, floorMs: 2_000 },
} as const satisfies Record<string, BackoffPolicy>

/** Pauses after another socket of the same device pushed ours out; the one after that ends in `replaced_elsewhere`. */
const conflictPausesMs = [5_000, 30_000]
/** A socket that lived this long has proved that the trouble before it is over. */
export const stableMs = 60_000

export class Reconnect {
  readonly #random: () => number
  #attempt = 0
  #conflicts = 0
  #openedAt: number | undefined

  constructor(random: () => number = Math.random) {
    this.#random = random
  }

  /** Tries in a row that did not lead to a stable minute. */
  get attempt(): number {
    return this.#attempt
  }

  opened(at: number): void {
    this.#openedAt = at
  }

  /** Milliseconds until the next try. `blamed: false` (many fail at once: it is the network) does not count against the session. */
  delayAfter(cause: Pick<DisconnectCause, 'action' | 'isNetwork'>, now: number, blamed = true): number {
    if (this.#openedAt !== undefined && now - this.#openedAt >= stableMs) {
      this.#attempt = 0
      this.#conflicts = 0
    }
    this.#openedAt = undefined
    switch (cause.action) {
      case 'restart':
        return 0
      case 'new_refs':
        return jittered(500, 0.5, this.#random)
      case 'conflict': {
        const pause = conflictPausesMs[Math.min(this.#conflicts, conflictPausesMs.length - 1)] ?? 0
        this.#conflicts += 1
        return jittered(pause, 0.2, this.#random)
      }
      case 'retry_slowly':
        return backoffMs(policies.retry_slowly, this.#next(blamed), this.#random)
      case 'retry':
      case 'logged_out':
      case 'give_up':
      case 'none':
        return backoffMs(cause.isNetwork ? policies.network : policies.retry, this.#next(blamed), this.#random)
    }
  }

  #next(blamed: boolean): number {
    return blamed ? this.#attempt++ : this.#attempt
  }
}
