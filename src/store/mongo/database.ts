// This process's connection to MongoDB: opening, bounded reads, and transactions that are tried again.
import { createConnection, type ClientSession, type Connection } from 'mongoose'
import { backoffMs } from '../../platform/backoff.ts'
import { monotonicMs, sleep, withDeadline } from '../../platform/clock.ts'
import { AppError } from '../../platform/errors.ts'
import { hasLabel, isDuplicate, transientLabel, translated, unknownCommitLabel } from './mongo-error.ts'
import { migrate } from './migrations.ts'
import { createModels, type Models } from './schemas.ts'

/** A read, or a transaction with all its tries, takes no longer. */
const deadlineMs = 8_000
const retryPolicy = { baseMs: 4, capMs: 250, floorMs: 1 }
const majority = { w: 'majority', wtimeoutMS: deadlineMs } as const

export class MongoDatabase {
  readonly models: Models
  readonly #connection: Connection
  /** The last write of each session in this process: they would only collide. */
  readonly #turns = new Map<string, Promise<unknown>>()
  readonly #running = new Set<Promise<unknown>>()
  #closed: Promise<void> | undefined

  private constructor(connection: Connection, models: Models) {
    this.#connection = connection
    this.models = models
  }

  /** @throws AppError `configuration` for a standalone server or a newer schema, `store_unavailable` */
  static async open(url: string): Promise<MongoDatabase> {
    const connection = createConnection(url, {
      serverSelectionTimeoutMS: 5_000,
      connectTimeoutMS: 5_000,
      socketTimeoutMS: 2 * deadlineMs,
      maxPoolSize: 20,
      promoteBuffers: true,
      retryWrites: true,
      readConcern: { level: 'majority' },
      writeConcern: majority,
      autoCreate: false,
      autoIndex: false,
      bufferCommands: false,
    })
    // Failures reach whoever asked; without a listener they would end the process besides.
    connection.on('error', () => undefined)
    try {
      await connection.asPromise()
      await requireTransactions(connection)
      const models = createModels(connection)
      await migrate(connection, models)
      return new MongoDatabase(connection, models)
    } catch (error) {
      await connection.close().catch(() => undefined)
      throw translated(error)
    }
  }

  /** @throws AppError `store_unavailable` after a deadline too */
  async read<T>(work: () => Promise<T>): Promise<T> {
    this.#requireOpen()
    try {
      return await withDeadline(work(), deadlineMs, 'store_unavailable')
    } catch (error) {
      throw translated(error)
    }
  }

  /** One write of one document, or of many that need not stand together. */
  async write<T>(work: () => Promise<T>): Promise<T> {
    this.#requireOpen()
    return this.#noted(this.read(work))
  }

  /**
   * `work` in a transaction, from the beginning again while another one is in the way. Writes of the same `key` (a session) in this
   * process take turns.
   * @throws AppError `store_unavailable`: nothing was written; `accept_outcome_unknown`: the commit was sent and not answered
   */
  async transact<T>(key: string, work: (session: ClientSession) => Promise<T>): Promise<T> {
    this.#requireOpen()
    const before = this.#turns.get(key) ?? Promise.resolve()
    const turn = before.then(
      () => this.#transact(work),
      () => this.#transact(work),
    )
    this.#turns.set(key, turn)
    try {
      return await this.#noted(turn)
    } finally {
      if (this.#turns.get(key) === turn) this.#turns.delete(key)
    }
  }

  async ping(): Promise<void> {
    await this.read(async () => this.#connection.db?.command({ ping: 1 }, { timeoutMS: 3_000 }))
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#running)
    await withDeadline(this.#connection.close(), 5_000).catch(() => this.#connection.close(true))
  }

  #requireOpen(): void {
    if (this.#closed) throw new AppError('store_unavailable', 'The store is closed.')
  }

  async #noted<T>(promise: Promise<T>): Promise<T> {
    this.#running.add(promise)
    try {
      return await promise
    } finally {
      this.#running.delete(promise)
    }
  }

  async #transact<T>(work: (session: ClientSession) => Promise<T>): Promise<T> {
    const end = monotonicMs() + deadlineMs
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt(work, end)
      } catch (error) {
        // A duplicate that stands in the way of this try is seen by the next one, which then decides by it.
        const again = hasLabel(error, transientLabel) || (isDuplicate(error) && attempt === 0)
        if (!again || monotonicMs() > end) throw translated(error)
        await sleep(backoffMs(retryPolicy, attempt))
      }
    }
  }

  async #attempt<T>(work: (session: ClientSession) => Promise<T>, end: number): Promise<T> {
    const session = await withDeadline(this.#connection.startSession(), deadlineMs, 'store_unavailable')
    try {
      session.startTransaction({
        readConcern: { level: 'snapshot' },
        writeConcern: majority,
        readPreference: 'primary',
        maxCommitTimeMS: deadlineMs,
      })
      const result = await withDeadline(work(session), Math.max(end - monotonicMs(), 100), 'store_unavailable')
      await commit(session, end)
      return result
    } catch (error) {
      if (session.inTransaction()) await withDeadline(session.abortTransaction(), 2_000).catch(() => undefined)
      throw error
    } finally {
      void session.endSession().catch(() => undefined)
    }
  }
}

/** A commit may be sent again: the server knows which transaction it is. */
async function commit(session: ClientSession, end: number): Promise<void> {
  for (;;) {
    try {
      return await withDeadline(session.commitTransaction(), Math.max(end - monotonicMs(), 100), 'accept_outcome_unknown')
    } catch (error) {
      if (!hasLabel(error, unknownCommitLabel)) throw error
      if (monotonicMs() > end) throw new AppError('accept_outcome_unknown', undefined, { cause: error })
      await sleep(20)
    }
  }
}

async function requireTransactions(connection: Connection): Promise<void> {
  const hello = await connection.db?.admin().command({ hello: 1 })
  if (hello?.['setName'] !== undefined || hello?.['msg'] === 'isdbgrid') return
  throw new AppError(
    'configuration',
    'MONGODB_URL names a standalone server, which has no transactions: make it a replica set (one member will do) or use a sharded cluster.',
  )
}
