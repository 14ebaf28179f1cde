// This process's connection to MongoDB: opening, bounded reads, and transactions that are tried again.
import { createConnection, type ClientSession, type Connection } from 'mongoose'
import { backoffMs } from '../../platform/backoff.ts'
import { monotonicMs, sleep, withDeadline } from '../../platform/clock.ts'
import { AppError, hasCode } from '../../platform/errors.ts'
import { hasLabel, isConnectionLost, isDuplicate, isRefusal, transientLabel, translated } from './mongo-error.ts'
import { migrate } from './migrations.ts'
import { createModels, type Models } from './models.ts'

/** A read, a write, or a transaction with all its tries, takes no longer for its caller. */
const deadlineMs = 8_000
/** One statement that is not answered within this time ends its transaction. */
const statementMs = 6_000
const abandonAttempts = 30
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
      socketTimeoutMS: statementMs,
      waitQueueTimeoutMS: 5_000,
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
      await migrate(models)
      return new MongoDatabase(connection, models)
    } catch (error) {
      await connection.close().catch(() => undefined)
      throw translated(error, 'store_unavailable')
    }
  }

  /** @throws AppError `store_unavailable`, after a deadline too */
  read<T>(work: () => Promise<T>): Promise<T> {
    return this.#bounded(work, 'store_unavailable')
  }

  /** One write of one document, or of many that need not stand together. @throws AppError `store_unavailable`, `accept_outcome_unknown` */
  write<T>(work: () => Promise<T>): Promise<T> {
    return this.#noted(this.#bounded(work, 'accept_outcome_unknown'))
  }

  /**
   * `work` in a transaction, from the beginning again while another one is in the way. Writes of the same `key` (a session) in this
   * process take turns.
   * @throws AppError `store_unavailable`: nothing was or will be written; `accept_outcome_unknown`: the commit was sent and not answered
   */
  async transact<T>(key: string, work: (session: ClientSession) => Promise<T>): Promise<T> {
    this.#requireOpen()
    const run: Run = { end: monotonicMs() + deadlineMs, isCommitting: false, isGivenUp: false }
    const start = () => giveUpInTime(this.#noted(this.#transact(run, work)), run)
    const turn = (this.#turns.get(key) ?? Promise.resolve()).then(start, start)
    this.#turns.set(key, turn)
    try {
      return await turn
    } finally {
      if (this.#turns.get(key) === turn) this.#turns.delete(key)
    }
  }

  async ping(): Promise<void> {
    await this.read(async () => this.#connection.db?.command({ ping: 1 }))
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await withDeadline(Promise.allSettled(this.#running), deadlineMs).catch(() => undefined)
    await withDeadline(this.#connection.close(), 5_000).catch(() => this.#connection.close(true))
  }

  #requireOpen(): void {
    if (this.#closed) throw new AppError('store_unavailable', 'The store is closed.')
  }

  async #bounded<T>(work: () => Promise<T>, late: 'store_unavailable' | 'accept_outcome_unknown'): Promise<T> {
    this.#requireOpen()
    try {
      return await withDeadline(work(), deadlineMs, late)
    } catch (error) {
      throw translated(error, late)
    }
  }

  async #noted<T>(promise: Promise<T>): Promise<T> {
    this.#running.add(promise)
    try {
      return await promise
    } finally {
      this.#running.delete(promise)
    }
  }

  async #transact<T>(run: Run, work: (session: ClientSession) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      if (run.isGivenUp) throw new AppError('store_unavailable')
      run.isCommitting = false
      try {
        return await this.#attempt(run, work)
      } catch (error) {
        // A duplicate that stands in the way of this try is seen by the next one, which then decides by it.
        const again = hasLabel(error, transientLabel) || (isDuplicate(error) && attempt === 0)
        const isLost = isConnectionLost(error) && !run.isCommitting
        if (!(again || isLost) || monotonicMs() > run.end) throw translated(error, 'store_unavailable')
        await sleep(backoffMs(retryPolicy, attempt))
      }
    }
  }

  /** No deadline cuts `work` off: a statement of a transaction that was aborted beside it would count on its own. */
  async #attempt<T>(run: Run, work: (session: ClientSession) => Promise<T>): Promise<T> {
    const session = await this.#connection.startSession()
    try {
      session.startTransaction({ readConcern: { level: 'snapshot' }, writeConcern: majority, readPreference: 'primary' })
      const result = await work(session)
      if (run.isGivenUp) throw new AppError('store_unavailable')
      run.isCommitting = true
      await commit(session, run.end)
      return result
    } catch (error) {
      if (session.inTransaction()) await session.abortTransaction().catch(() => this.#abandon(session))
      if (isConnectionLost(error) || hasCode(error, 'accept_outcome_unknown')) this.#abandon(session)
      throw error
    } finally {
      void session.endSession().catch(() => undefined)
    }
  }

  /** The server may still hold this transaction's locks, for up to a minute: told to let go, as soon as it can be reached. */
  #abandon(session: ClientSession): void {
    const letGo = async () => {
      for (let attempt = 0; attempt < abandonAttempts && !this.#closed; attempt++) {
        try {
          return void (await this.#connection.db?.admin().command({ killSessions: [session.id] }))
        } catch {
          await sleep(1_000, undefined, false)
        }
      }
    }
    void letGo()
  }
}

/** One call of `transact`, over all its tries. */
interface Run {
  end: number
  /** From here on the server may have it. */
  isCommitting: boolean
  /** The caller has been answered: nothing may be committed any more. */
  isGivenUp: boolean
}

async function giveUpInTime<T>(turn: Promise<T>, run: Run): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      run.isGivenUp = true
      reject(new AppError(run.isCommitting ? 'accept_outcome_unknown' : 'store_unavailable'))
    }, run.end - monotonicMs())
  })
  try {
    return await Promise.race([turn, late])
  } finally {
    clearTimeout(timer)
  }
}

/** A commit may be sent again: the server knows which transaction it is. */
async function commit(session: ClientSession, end: number): Promise<void> {
  for (;;) {
    try {
      return await session.commitTransaction()
    } catch (error) {
      if (hasLabel(error, transientLabel) || isRefusal(error)) throw error
      if (monotonicMs() > end) throw new AppError('accept_outcome_unknown', undefined, { cause: error })
      await sleep(50)
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
