// Reports to the runner, one after the other: what WhatsApp has been told we have must be stored first, in the order it came.
import { AppError } from '../platform/errors.ts'
import { withDeadline } from '../platform/clock.ts'

export class OrderedEvents {
  readonly #onFailed: (error: unknown) => void
  #last: Promise<void> = Promise.resolve()
  #isEnded = false

  /** `onFailed`: a handler could not do its work; WhatsApp must not be told otherwise. */
  constructor(onFailed: (error: unknown) => void) {
    this.#onFailed = onFailed
  }

  /** Resolves when it has been handled. @throws what the handler threw, `socket_closed` after the end */
  async run(handle: () => Promise<void>): Promise<void> {
    const before = this.#last
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last = promise
    await before
    try {
      if (this.#isEnded) throw new AppError('socket_closed')
      await handle()
    } catch (error) {
      if (!this.#isEnded) this.#onFailed(error)
      throw error
    } finally {
      resolve()
    }
  }

  /** Like `run` for reports nobody waits for. */
  post(handle: () => Promise<void>): void {
    this.run(handle).catch(() => undefined)
  }

  /** Waits for what is under way, and lets nothing more through. */
  async end(timeoutMs: number): Promise<void> {
    await this.idle(timeoutMs)
    this.#isEnded = true
  }

  async idle(timeoutMs: number): Promise<void> {
    await withDeadline(this.#last, timeoutMs).catch(() => undefined)
  }
}
