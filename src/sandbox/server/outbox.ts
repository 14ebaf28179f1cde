// The way of frames to one socket: straight through, late, or held back while the connection stalls.
import type { WebSocket } from 'ws'

/** A connection that stalls with more than this is cut: what matters in it waits in the device's inbox. */
const maxQueued = 20_000

interface Late {
  frame: Buffer
  dueAt: number
}

export class Outbox {
  readonly #socket: WebSocket
  /** Held back or late, in order. Nothing overtakes what is in here. */
  #queue: Late[] = []
  #timer: NodeJS.Timeout | undefined
  #isStalled = false
  #afterFlush: (() => void)[] = []

  constructor(socket: WebSocket) {
    this.#socket = socket
  }

  get isStalled(): boolean {
    return this.#isStalled
  }

  write(frame: Buffer, delayMs: number): void {
    if (!this.#isStalled && delayMs === 0 && this.#queue.length === 0) {
      this.#socket.send(frame)
      return
    }
    if (this.#queue.length >= maxQueued) {
      this.#socket.terminate()
      return
    }
    const last = this.#queue.at(-1)?.dueAt ?? 0
    this.#queue.push({ frame, dueAt: Math.max(last, performance.now() + delayMs) })
    this.#schedule()
  }

  /** A stalled connection neither reads nor writes; its TCP connection stays open. */
  stall(stalled: boolean): void {
    if (stalled === this.#isStalled) return
    this.#isStalled = stalled
    if (stalled) this.#socket.pause()
    else this.#socket.resume()
    this.#schedule()
  }

  /** Calls back when everything written so far has gone to the socket. */
  whenFlushed(then: () => void): void {
    if (this.#queue.length === 0) then()
    else this.#afterFlush.push(then)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#queue = []
    this.#afterFlush = []
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#isStalled) return
    const now = performance.now()
    let due = 0
    while (due < this.#queue.length && (this.#queue[due]?.dueAt ?? 0) <= now) due += 1
    for (const late of this.#queue.splice(0, due)) this.#socket.send(late.frame)
    const next = this.#queue[0]
    if (next) {
      this.#timer = setTimeout(() => this.#schedule(), Math.max(1, next.dueAt - now))
      return
    }
    for (const then of this.#afterFlush.splice(0)) then()
  }
}
