// One held session: the right to act for it, which ends by itself on the monotonic clock.
import type { HeldEpoch } from './lease-scripts.ts'

/** What a lease hangs on: the heartbeat of the incarnation that claimed it. */
export interface Trust {
  /** False as soon as somebody else could be the holder; compared, not asked for. */
  isTrusted(): boolean
}

/** Made by `claimSessions` only, after Redis and the store have both agreed to its epoch. */
export class Lease implements HeldEpoch {
  readonly sessionId: string
  readonly epoch: number
  readonly incarnation: string
  /** The dead incarnation whose session it was; null when it had been given back. */
  readonly takenFrom: string | null
  readonly #trust: Trust
  #isDropped = false

  constructor(held: HeldEpoch & { incarnation: string; takenFrom?: string | null }, trust: Trust) {
    this.sessionId = held.sessionId
    this.epoch = held.epoch
    this.incarnation = held.incarnation
    this.takenFrom = held.takenFrom ?? null
    this.#trust = trust
  }

  /** May this process send for the session at this very moment? To be asked in the same tick as the write it guards. */
  isTrusted(): boolean {
    return !this.#isDropped && this.#trust.isTrusted()
  }

  /** Gives the right up for good, without telling anyone. */
  drop(): void {
    this.#isDropped = true
  }
}
