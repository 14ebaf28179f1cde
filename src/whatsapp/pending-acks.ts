// Which sends wait for the server's ack, and what comes too late for them. Bytes written are no acceptance; only this is.
import { monotonicMs } from '../platform/clock.ts'

export type AckResult =
  | { kind: 'acked'; at: number }
  | { kind: 'error'; error: number }
  | ({ kind: 'unsent' } & Unsent)
  | { kind: 'unknown'; reason: string }

/** Why not one byte of a message left. `error`: the number with which the server refused what is asked before a message. */
export interface Unsent {
  error: number | null
  reason: string
}

const maxGivenUp = 1_000
const maxUnacked = 1_000

export class PendingAcks {
  readonly #waiting = new Map<string, (result: AckResult) => void>()
  readonly #givenUp = new Set<string>()
  /** Sends whose ack has not come, proven by a receipt or not → when they were handed over, oldest first. */
  readonly #unacked = new Map<string, number>()
  readonly #closed = Promise.withResolvers<never>()
  #closedBy: string | undefined

  constructor() {
    this.#closed.promise.catch(() => undefined)
  }

  /** Rejects when the socket has ended: for what waits for something other than an ack. */
  get closed(): Promise<never> {
    return this.#closed.promise
  }

  /** Of the oldest send that the server itself has not acked, on the monotonic clock. */
  get unackedSince(): number | null {
    return this.#unacked.values().next().value ?? null
  }

  /** Settles once: by the ack, a receipt (which proves as much), the time limit or the end of the socket. */
  async expect(whatsappId: string, timeoutMs: number): Promise<AckResult> {
    if (this.#closedBy !== undefined) return { kind: 'unknown', reason: this.#closedBy }
    let timer: NodeJS.Timeout | undefined
    if (this.#unacked.size < maxUnacked) this.#unacked.set(whatsappId, monotonicMs())
    const result = await new Promise<AckResult>((resolve) => {
      this.#waiting.set(whatsappId, resolve)
      timer = setTimeout(() => resolve({ kind: 'unknown', reason: 'no acknowledgement in time' }), Math.max(0, timeoutMs))
    })
    clearTimeout(timer)
    this.#waiting.delete(whatsappId)
    if (result.kind === 'unknown') this.#giveUp(whatsappId)
    else if (result.kind === 'unsent') this.#unacked.delete(whatsappId)
    return result
  }

  /** The server's own ack, as opposed to a receipt that proves as much. It acks in order: what was sent before has lost its ack alone. */
  heard(whatsappId: string): void {
    if (!this.#unacked.has(whatsappId)) return
    for (const id of this.#unacked.keys()) {
      this.#unacked.delete(id)
      if (id === whatsappId) return
    }
  }

  /** Ends the wait for one message that will not be acked. */
  fail(whatsappId: string, reason: string): void {
    this.#waiting.get(whatsappId)?.({ kind: 'unknown', reason })
  }

  /** Ends the wait for one message that never left. */
  unsent(whatsappId: string, why: Unsent): void {
    this.#waiting.get(whatsappId)?.({ kind: 'unsent', ...why })
  }

  /** `late`: the send was given up, and this settles it after all. `error` is the server's number, when it refused. */
  acked(whatsappId: string, error: number | null, at: number): 'taken' | 'late' | 'unasked' {
    const settle = this.#waiting.get(whatsappId)
    if (settle) {
      settle(error === null ? { kind: 'acked', at } : { kind: 'error', error })
      return 'taken'
    }
    return error === null && this.#givenUp.delete(whatsappId) ? 'late' : 'unasked'
  }

  closeAll(reason: string): void {
    this.#closedBy = reason
    this.#closed.reject(new Error(reason))
    for (const settle of this.#waiting.values()) settle({ kind: 'unknown', reason })
  }

  #giveUp(whatsappId: string): void {
    this.#unacked.delete(whatsappId)
    this.#givenUp.add(whatsappId)
    if (this.#givenUp.size <= maxGivenUp) return
    for (const oldest of this.#givenUp) {
      this.#givenUp.delete(oldest)
      return
    }
  }
}
