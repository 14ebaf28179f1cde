// Writes to the store that come one by one from many jobs: those of the same moment become one write.
import { sleep } from '../platform/clock.ts'
import { hasCode } from '../platform/errors.ts'

/** A transaction for each costs more than the request that it tells of. What is not written when the process dies is sent again. */
const togetherMs = 10
const maxTogether = 100
const againMs = [100, 300, 1_000, 3_000]

interface Waiting<Entry> {
  entry: Entry
  resolve: () => void
  reject: (error: unknown) => void
}

/** What it writes may be written again: the outcome of a write is not always known. */
export class BatchedWrites<Entry> {
  readonly #writeAll: (entries: readonly Entry[]) => Promise<void>
  #waiting: Waiting<Entry>[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(writeAll: (entries: readonly Entry[]) => Promise<void>) {
    this.#writeAll = writeAll
  }

  /** Resolves when it is written. @throws AppError `store_unavailable`, `accept_outcome_unknown` when the store is away for long */
  add(entry: Entry): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entry, resolve, reject })
      if (this.#waiting.length >= maxTogether) this.#flush()
      else this.#timer ??= setTimeout(() => this.#flush(), togetherMs)
    })
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    void this.#write(this.#waiting.splice(0))
  }

  /** Never throws. What one of them is refused for, the others shall not be sent again for. */
  async #write(waiting: readonly Waiting<Entry>[]): Promise<void> {
    try {
      await patiently(() => this.#writeAll(waiting.map(({ entry }) => entry)))
      for (const { resolve } of waiting) resolve()
    } catch (error) {
      if (waiting.length === 1 || isAway(error)) for (const { reject } of waiting) reject(error)
      else for (const each of waiting) await this.#write([each])
    }
  }
}

/** Each by itself would only wait as long again, one after the other. */
function isAway(error: unknown): boolean {
  return hasCode(error, 'store_unavailable') || hasCode(error, 'accept_outcome_unknown')
}

/** A short pause of the store shall not make receivers get events twice. */
async function patiently(write: () => Promise<void>): Promise<void> {
  for (const waitMs of againMs) {
    try {
      return await write()
    } catch (error) {
      if (!isAway(error)) throw error
      await sleep(waitMs)
    }
  }
  return write()
}
