// The message frames that devices sent, in the order the server took them: what a test holds against what was accepted.

export interface TakenFrame {
  /** Place in the order of all frames, from 1. */
  order: number
  /** Milliseconds since 1970. */
  at: number
  /** The sending account and its device. */
  phoneNumber: string
  device: number
  /** The socket it came through, numbered in the order in which they were opened. */
  socket: number
  id: string
  to: string
  /** `taken`: handed on and acked; `unacked`: handed on, but the ack was dropped; a number: refused with this error. */
  outcome: 'taken' | 'unacked' | number
}

/** Only the last ones are kept. */
const maxFrames = 100_000

export class FrameLog {
  #frames: TakenFrame[] = []
  #lastOrder = 0

  add(frame: Omit<TakenFrame, 'order' | 'at'>): void {
    this.#lastOrder += 1
    this.#frames.push({ order: this.#lastOrder, at: Date.now(), ...frame })
    // In large steps: cutting an array's head for every frame would cost more than keeping it.
    if (this.#frames.length > 2 * maxFrames) this.#frames = this.#frames.slice(-maxFrames)
  }

  /** Of the newest one; 0 when there was none. */
  get lastOrder(): number {
    return this.#lastOrder
  }

  /** After `order`, oldest first. */
  list(after: number, limit: number): TakenFrame[] {
    const first = this.#frames[0]?.order ?? 1
    const from = Math.max(0, after + 1 - first)
    return this.#frames.slice(from, from + limit)
  }

  clear(): void {
    this.#frames = []
  }
}
