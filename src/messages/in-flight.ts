// The one message of a session between its take and its outcome in the store, and the receipt that may stand in for its ack.
import { sleep, withDeadline } from '../platform/clock.ts'
import { hasCode } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { OutgoingMessage, SendOutcome, WhatsAppClient } from '../whatsapp/whatsapp-client.ts'

/** A client keeps to the ack's time by itself; this is for one that does not. */
const marginMs = 5_000
/** The ack may be here already while the client still learns the recipient's LID: its own answer says more than a receipt. */
const receiptGraceMs = 500

interface InFlightDeps {
  ackTimeoutMs: number
  isTrusted(): boolean
  log: Log
}

export class InFlight {
  readonly #deps: InFlightDeps
  /** Settles when the outcome is in the store. */
  #recorded: Promise<void> | null = null
  #hurry = new AbortController()
  #delivery: { whatsappId: string; sent: Promise<unknown>; settle: (outcome: SendOutcome) => void } | null = null
  /** On the monotonic clock. */
  lastEndedAt = -Infinity

  constructor(deps: InFlightDeps) {
    this.#deps = deps
  }

  get isBusy(): boolean {
    return this.#recorded !== null
  }

  /** Runs a send from its take to its recorded outcome. `hurry` aborts when it is waited for. */
  async track<T>(send: (hurry: AbortSignal) => Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#recorded = promise
    this.#hurry = new AbortController()
    try {
      return await send(this.#hurry.signal)
    } finally {
      this.#recorded = null
      this.#delivery = null
      this.lastEndedAt = performance.now()
      resolve()
    }
  }

  /** Never rejects, and settles soon after the typing and the ack's time are over, whatever the client does. */
  async deliver(client: WhatsAppClient, message: OutgoingMessage): Promise<SendOutcome> {
    // The connection asks the lease once more for every frame; this check only spares the work.
    if (!this.#deps.isTrusted()) return { kind: 'unknown', reason: 'lease_lost' }
    const { promise: byReceipt, resolve: settle } = Promise.withResolvers<SendOutcome>()
    try {
      const sent = client.send(message, this.#deps.ackTimeoutMs, this.#hurry.signal)
      this.#delivery = { whatsappId: message.whatsappId, sent, settle }
      const withinMs = (message.typingMs ?? 0) + this.#deps.ackTimeoutMs + marginMs
      return await withDeadline(Promise.race([sent, byReceipt]), withinMs)
    } catch (error) {
      if (!hasCode(error, 'timed_out')) this.#deps.log.error({ err: error }, 'message.send_threw')
      return { kind: 'unknown', reason: 'send_never_settled' }
    }
  }

  /** A receipt for the message under way counts as its ack; resolves when that is stored, so that the receipt comes second. */
  async acknowledge(whatsappIds: readonly string[]): Promise<void> {
    const delivery = this.#delivery
    if (!delivery || !whatsappIds.includes(delivery.whatsappId)) return
    const recorded = this.#recorded
    await Promise.race([delivery.sent.catch(() => undefined), sleep(receiptGraceMs)])
    delivery.settle({ kind: 'acked', at: Date.now(), lid: null })
    await recorded
  }

  /** Cuts pauses short. Resolves when nothing is under way, at the latest `settleMs` after the ack's time is over. */
  async ended(settleMs: number): Promise<void> {
    this.#hurry.abort()
    if (this.#recorded) await withDeadline(this.#recorded, this.#deps.ackTimeoutMs + settleMs).catch(() => undefined)
  }
}
