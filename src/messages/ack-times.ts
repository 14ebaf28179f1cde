// How long this session's acks take: what is unusual is told apart from a slow network.

/** The quickest of the last ones says how long an ack usually takes. */
const rememberedCount = 16
/** More than this later, a message counts as sent later. With what a slot may be used late it is less than the slack of a minute's rate. */
const unusualMs = 400

/** By how much later than its slot a message counts that takes so long every time. */
export function countedLateMs(tookMs: number): number {
  return Math.max(0, tookMs - Math.min(tookMs, unusualMs) - unusualMs)
}

export interface SentBefore {
  ackedAgoMs: number
  /** Null when its ack took no longer than usual. */
  sentAgoMs: number | null
}

export class AckTimes {
  #tookMs: number[] = []
  #last: { ackedAt: number; tookMs: number } | null = null

  /** `tookMs`: from when the message might leave; Infinity when that is not known. */
  record(ackedAt: number, tookMs: number): void {
    this.#tookMs = [...this.#tookMs.slice(1 - rememberedCount), tookMs]
    this.#last = { ackedAt, tookMs }
  }

  sentBefore(now: number): SentBefore | null {
    if (!this.#last) return null
    const ackedAgoMs = now - this.#last.ackedAt
    const usualMs = Math.min(...this.#tookMs.filter((ms) => ms < Infinity), unusualMs) + unusualMs
    return { ackedAgoMs, sentAgoMs: this.#last.tookMs > usualMs ? ackedAgoMs + usualMs : null }
  }
}
