// The order in which credentials reach the store: one write at a time, whole sets only, and nothing after a failure or the end.
import { AppError } from '../platform/errors.ts'

export interface KeyWrite {
  type: string
  id: string
  value: Uint8Array | null
  /** What `value` was made from, for reads that come before the write has landed. */
  plain: unknown
}

interface KeyWriterDeps {
  write(entries: { type: string; id: string; value: Uint8Array | null }[]): Promise<void>
  encodeCreds(): Uint8Array
  onFailed(error: unknown): void
  /** Sealed while something was not, or not yet, written. */
  onDropped(): void
}

interface Batch {
  readonly entries: Map<string, KeyWrite>
  hasCreds: boolean
  readonly landed: PromiseWithResolvers<void>
}

/** What comes while a write runs, or in the same turn of the event loop, goes together into the next one. */
export class KeyWriter {
  readonly #deps: KeyWriterDeps
  #next: Batch | undefined
  #running: Batch | undefined
  /** Why nothing is written any more. */
  #ended: unknown

  constructor(deps: KeyWriterDeps) {
    this.#deps = deps
  }

  /** @throws what ended it */
  assertOpen(): void {
    if (this.#ended !== undefined) throw this.#ended
  }

  async write(entries: KeyWrite[]): Promise<void> {
    if (entries.length === 0) return
    const batch = this.#batch()
    for (const entry of entries) batch.entries.set(`${entry.type}.${entry.id}`, entry)
    await batch.landed.promise
  }

  credsChanged(): void {
    if (this.#ended === undefined) this.#batch().hasCreds = true
  }

  /** undefined: nothing is under way; null: it is being deleted. */
  pendingValue(type: string, id: string): unknown {
    const key = `${type}.${id}`
    return (this.#next?.entries.get(key) ?? this.#running?.entries.get(key))?.plain
  }

  async flush(): Promise<void> {
    await (this.#next ?? this.#running)?.landed.promise
    if (this.#ended !== undefined) throw this.#ended
  }

  seal(): void {
    if (this.#next || this.#running) this.#deps.onDropped()
    this.#end(new AppError('socket_closed', 'This socket is closed; its keys are no longer written.'))
  }

  #batch(): Batch {
    this.assertOpen()
    if (this.#next) return this.#next
    this.#next = { entries: new Map(), hasCreds: false, landed: Promise.withResolvers() }
    // Creds are not waited for; a failure is told to `onFailed`.
    this.#next.landed.promise.catch(() => undefined)
    // Not in this turn: the keys of all devices of a message are then one write, and many sends in a row yield to the event loop.
    if (!this.#running) setImmediate(() => void this.#run())
    return this.#next
  }

  async #run(): Promise<void> {
    const batch = this.#next
    if (!batch || this.#running) return
    this.#running = batch
    this.#next = undefined
    try {
      this.assertOpen()
      const entries = [...batch.entries.values()].map(({ type, id, value }) => ({ type, id, value }))
      if (batch.hasCreds) entries.push({ type: 'creds', id: '', value: this.#deps.encodeCreds() })
      await this.#deps.write(entries)
      batch.landed.resolve()
    } catch (error) {
      batch.landed.reject(error)
      if (this.#ended === undefined) {
        this.#end(error)
        this.#deps.onFailed(error)
      }
    } finally {
      this.#running = undefined
    }
    if (this.#next) void this.#run()
  }

  #end(reason: unknown): void {
    if (this.#ended !== undefined) return
    this.#ended = reason
    this.#next?.landed.reject(reason)
    this.#next = undefined
  }
}
