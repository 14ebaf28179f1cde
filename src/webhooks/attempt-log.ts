// Writes down what came of attempts: those that end within a moment of each other in one write.
import { sleep } from '../platform/clock.ts'
import { hasCode } from '../platform/errors.ts'
import type { AttemptRecord, DeliveryStore } from '../store/event-store.ts'

/** A transaction for each costs more than the request that it tells of. What is not written when the process dies is sent again. */
const togetherMs = 10
const maxTogether = 100
const againMs = [100, 300, 1_000, 3_000]

interface Entry {
  record: AttemptRecord
  resolve: () => void
  reject: (error: unknown) => void
}

export class AttemptLog {
  private readonly deliveries: Pick<DeliveryStore, 'recordAttempts'>
  private waiting: Entry[] = []
  private timer: NodeJS.Timeout | undefined

  constructor(deliveries: Pick<DeliveryStore, 'recordAttempts'>) {
    this.deliveries = deliveries
  }

  /** Resolves when it is written. @throws AppError `store_unavailable` when the store is away for long */
  record(record: AttemptRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ record, resolve, reject })
      if (this.waiting.length >= maxTogether) this.flush()
      else this.timer ??= setTimeout(() => this.flush(), togetherMs)
    })
  }

  private flush(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    void this.write(this.waiting.splice(0))
  }

  /** Never throws. What one of them is refused for, the others shall not be sent again for. */
  private async write(entries: readonly Entry[]): Promise<void> {
    try {
      await patiently(() => this.deliveries.recordAttempts(entries.map(({ record }) => record)))
      for (const { resolve } of entries) resolve()
    } catch (error) {
      if (entries.length === 1 || hasCode(error, 'store_unavailable')) for (const { reject } of entries) reject(error)
      else for (const entry of entries) await this.write([entry])
    }
  }
}

/** A short pause of the store shall not make receivers get events twice. */
async function patiently(write: () => Promise<void>): Promise<void> {
  for (const waitMs of againMs) {
    try {
      return await write()
    } catch (error) {
      if (!hasCode(error, 'store_unavailable')) throw error
      await sleep(waitMs)
    }
  }
  return write()
}
