// The messages of one held session that stepped aside: when the next of them is due, and back into the queue with it.
import type { MessageStore } from '../store/message-store.ts'
import { compareQueue, returnHeld, type CompareDeps } from './compare-queue.ts'
import type { SendQueues } from './send-queue.ts'

interface HeldDeps {
  messages: Pick<MessageStore, 'listHeld' | 'listUnfinished'>
  queues: Pick<SendQueues, 'findWaiting' | 'listWaiting' | 'removeAll' | 'addAll'>
  isTrusted: CompareDeps['isTrusted']
}

/** With more than this due at once the whole queue is compared. */
const page = 500

export class HeldMessages {
  readonly #deps: HeldDeps
  readonly #sessionId: string
  #nextAt = Infinity
  #blockedId: string | null = null

  constructor(deps: HeldDeps, sessionId: string) {
    this.#deps = deps
    this.#sessionId = sessionId
  }

  /** When the next hold ends, milliseconds since the epoch; Infinity when there is none. */
  get nextAt(): number {
    return this.#nextAt
  }

  get isEmpty(): boolean {
    return this.#nextAt === Infinity
  }

  added(heldUntil: number): void {
    this.#nextAt = Math.min(this.#nextAt, heldUntil)
  }

  /** Makes the queue what the store says, all that is due included. True when something had to be changed. With no job active. */
  async compare(): Promise<boolean> {
    // What becomes due during the comparison may be missed by it.
    const now = Date.now()
    const isChanged = await compareQueue(this.#deps, this.#sessionId)
    await this.#lookAhead(now)
    return isChanged
  }

  /**
   * The store knows an older message than this one, which is back in the queue: puts the queue in order, or, where it is in order already,
   * takes this one out, so that the others go on. The next comparison brings it back. True when it was taken out.
   */
  async passOver(id: string): Promise<boolean> {
    const isSecondTime = this.#blockedId === id
    this.#blockedId = id
    if ((await this.compare()) || !isSecondTime) return false
    await this.#deps.queues.removeAll(this.#sessionId, [id])
    return true
  }

  /** Puts back what is due; one comparison with the clock when nothing is. With no job active. */
  async returnDue(): Promise<void> {
    if (Date.now() < this.#nextAt) return
    const now = Date.now()
    // Also those that came back earlier and wait still: the oldest of all goes first.
    const held = await this.#deps.messages.listHeld(this.#sessionId, 0, page)
    const due = held.filter(({ heldUntil }) => heldUntil !== null && heldUntil <= now)
    if (due.length === page) await compareQueue(this.#deps, this.#sessionId)
    else await returnHeld(this.#deps, this.#sessionId, due)
    const next = due.length < held.length ? held[due.length] : undefined
    if (next || held.length < page) this.#nextAt = next?.heldUntil ?? Infinity
    else await this.#lookAhead(now)
  }

  async #lookAhead(after: number): Promise<void> {
    const [next] = await this.#deps.messages.listHeld(this.#sessionId, after, 1)
    this.#nextAt = next?.heldUntil ?? Infinity
  }
}
