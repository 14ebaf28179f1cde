// Writes down what came of attempts: those that end within a moment of each other in one write.
import { sleep } from '../platform/clock.ts'
import { hasCode } from '../platform/errors.ts'
import type { AttemptRecord, DeliveryStore } from '../store/event-store.ts'

/** A transaction for each costs more than the request that it tells of. What is not written when the process dies is sent again. */
const togetherMs = 10
const maxTogether = 100
const againMs = [100, 300, 1_000, 3_000]

interface Batch {
  records: AttemptRecord[]
  written: Promise<void>
  write(): void
}

export class AttemptLog {
  private readonly deliveries: Pick<DeliveryStore, 'recordAttempts'>
  private batch: Batch | undefined

  constructor(deliveries: Pick<DeliveryStore, 'recordAttempts'>) {
    this.deliveries = deliveries
  }

  /** Resolves when it is written. @throws AppError `store_unavailable` when the store is away for long */
  record(record: AttemptRecord): Promise<void> {
    const batch = (this.batch ??= this.begin())
    batch.records.push(record)
    if (batch.records.length >= maxTogether) batch.write()
    return batch.written
  }

  private begin(): Batch {
    const records: AttemptRecord[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    const write = () => {
      clearTimeout(timer)
      if (this.batch?.records === records) this.batch = undefined
      resolve()
    }
    const timer = setTimeout(write, togetherMs)
    const written = promise.then(() => patiently(() => this.deliveries.recordAttempts(records)))
    return { records, written, write }
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
