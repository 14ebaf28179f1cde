// One SQLite file and this process's connection to it: opening, cached statements, reads that retry, grouped writes.
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { monotonicMs, sleep } from '../../platform/clock.ts'
import { AppError } from '../../platform/errors.ts'
import { migrate } from './migrations.ts'
import { isBusy, translated } from './sqlite-error.ts'
import { lockDeadlineMs, WriteGroup } from './write-group.ts'

/** Pages of 4 kB in the write-ahead log before a commit copies them into the file. */
const checkpointPages = 2_000
const readsPerTurn = 16
const nextTurn = promisify(setImmediate)

export class SqliteDatabase {
  readonly #db: DatabaseSync
  readonly #walFd: number
  readonly #group: WriteGroup
  readonly #statements = new Map<string, StatementSync>()
  #reads = 0
  #closed: Promise<void> | undefined

  private constructor(db: DatabaseSync, walFd: number) {
    this.#db = db
    this.#walFd = walFd
    this.#group = new WriteGroup(db, walFd)
  }

  /**
   * Creates and migrates the file as needed; several processes may do so at once.
   * @throws AppError `configuration` when the file is of a newer version, `store_unavailable`
   */
  static async open(path: string): Promise<SqliteDatabase> {
    createPrivately(path)
    const db = connect(path)
    try {
      await retryBusy(() => requireWal(db, path))
      db.exec('PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8000')
      db.exec(`PRAGMA wal_autocheckpoint = ${checkpointPages}; PRAGMA journal_size_limit = ${checkpointPages * 4096}`)
      await retryBusy(() => migrate(db))
      return new SqliteDatabase(db, openSync(`${path}-wal`, 'r+'))
    } catch (error) {
      db.close()
      throw translated(error)
    }
  }

  /** The prepared statement of a constant text; made once. */
  sql(text: string): StatementSync {
    let statement = this.#statements.get(text)
    if (!statement) {
      statement = this.#db.prepare(text)
      this.#statements.set(text, statement)
    }
    return statement
  }

  /** Every text prepared so far: lets a test ask for the plan of each. */
  get preparedTexts(): string[] {
    return [...this.#statements.keys()]
  }

  /** Mostly runs at once; again when another process holds the file for a moment (recovery, a closing checkpoint). `work` must only read. */
  async read<T>(work: () => T): Promise<T> {
    if (this.#closed) throw new AppError('store_unavailable', 'The store is closed.')
    // Reads settle without a turn of the event loop: a loop of them would starve timers, sockets and our own writes.
    if (++this.#reads % readsPerTurn === 0) await nextTurn()
    try {
      return work()
    } catch (error) {
      if (!isBusy(error)) throw translated(error)
      return retryBusy(work)
    }
  }

  /** Runs `work` in a transaction shared with other writes of this process; settles when the disk has it. */
  async write<T>(work: () => T): Promise<T> {
    if (this.#closed) throw new AppError('store_unavailable', 'The store is closed.')
    return this.#group.submit(work)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.#group.drained()
    closeSync(this.#walFd)
    this.#db.close()
  }
}

function connect(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout: 0, enableForeignKeyConstraints: false })
  } catch (error) {
    throw translated(error)
  }
}

/** Network disks lack the shared memory that it needs. */
function requireWal(db: DatabaseSync, path: string): void {
  const mode = db.prepare('PRAGMA journal_mode = WAL').get()?.['journal_mode']
  if (mode !== 'wal')
    throw new AppError('configuration', `The disk of ${path} does not support SQLite's WAL mode: use a local one.`)
}

async function retryBusy<T>(work: () => T): Promise<T> {
  const end = monotonicMs() + lockDeadlineMs
  for (;;) {
    try {
      return work()
    } catch (error) {
      if (!isBusy(error) || monotonicMs() > end) throw translated(error)
      await sleep(1 + Math.random() * 5)
    }
  }
}

/** Messages stand in it in plain text. SQLite gives its side files the same mode. */
function createPrivately(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    // Never opened when it exists: closing a second descriptor would drop SQLite's locks of this process.
    if (!existsSync(path)) closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST' && existsSync(path)) return
    throw new AppError('configuration', `The data directory cannot be used: ${(error as Error).message}`, { cause: error })
  }
}
