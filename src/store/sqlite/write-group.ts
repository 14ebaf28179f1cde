// Group commit: writes of one process share a transaction and a disk flush; nobody waits for a lock on the event loop.
import { fdatasync } from 'node:fs'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { AppError } from '../../platform/errors.ts'
import { isBusy, translated } from './sqlite-error.ts'

/** A transaction takes no more writes after this, so that the event loop goes on. */
const maxBatchMs = 8
const maxBatchSize = 256
/** Waiting for another process's lock longer than this gives up: nothing was written. */
export const lockDeadlineMs = 5_000
/** The disk must have confirmed within this time. */
const flushDeadlineMs = 10_000

interface PendingWrite {
  work: () => unknown
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
  deadline: number
}
type Settle = () => void

/**
 * Transactions commit with synchronous=NORMAL, which does not wait for the disk; the write-ahead log is then flushed on the
 * thread pool, and only after that are the promises settled. This is as durable as synchronous=FULL — what a caller was told
 * survives power loss, as does all it was based on, which stands before it in the same file — but the lock is held for
 * microseconds, and one flush serves all transactions that were committed meanwhile.
 */
export class WriteGroup {
  readonly #db: DatabaseSync
  readonly #walFd: number
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #savepoint: StatementSync
  readonly #release: StatementSync
  readonly #undo: StatementSync
  #queue: PendingWrite[] = []
  #scheduled = false
  #lockAttempts = 0
  /** The next transaction keeps its writes apart: one of them has thrown. */
  #careful = false
  #committed: { settle: Settle; fail: (error: unknown) => void }[] = []
  #flushing = false
  #broken: AppError | undefined
  #idle: (() => void)[] = []

  constructor(db: DatabaseSync, walFd: number) {
    this.#db = db
    this.#walFd = walFd
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#commit = db.prepare('COMMIT')
    this.#savepoint = db.prepare('SAVEPOINT one')
    this.#release = db.prepare('RELEASE one')
    this.#undo = db.prepare('ROLLBACK TO one')
  }

  /** Runs `work` inside a transaction, in order of submission; what it throws undoes its own writes only. It may run more than once. */
  submit<T>(work: () => T): Promise<T> {
    if (this.#broken) return Promise.reject(this.#broken)
    return new Promise<T>((resolve, reject) => {
      const deadline = performance.now() + lockDeadlineMs
      this.#queue.push({ work, resolve: resolve as (value: unknown) => void, reject, deadline })
      // While the disk is busy nobody would be told sooner: what comes meanwhile shares the next transaction, and the pages it logs.
      if (!this.#flushing) this.#schedule()
    })
  }

  /** Resolves when everything submitted so far has settled. */
  async drained(): Promise<void> {
    if (this.#queue.length === 0 && !this.#flushing && this.#committed.length === 0) return
    await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#run())
  }

  #run(): void {
    try {
      this.#begin.run()
    } catch (error) {
      if (isBusy(error)) return this.#retryLater(error)
      this.#scheduled = false
      for (const entry of this.#queue.splice(0)) entry.reject(translated(error))
      return this.#wakeIdle()
    }
    this.#scheduled = false
    this.#lockAttempts = 0
    this.#runBatch()
    if (this.#queue.length > 0) this.#schedule()
    else this.#wakeIdle()
  }

  #retryLater(error: unknown): void {
    const now = performance.now()
    const late = this.#queue.filter((entry) => entry.deadline < now)
    if (late.length > 0) {
      this.#queue = this.#queue.filter((entry) => entry.deadline >= now)
      for (const entry of late) entry.reject(translated(error))
    }
    if (this.#queue.length === 0) {
      this.#scheduled = false
      return this.#wakeIdle()
    }
    this.#lockAttempts += 1
    const ceiling = Math.min(1 + this.#lockAttempts / 4, 8)
    setTimeout(() => this.#run(), 0.5 + Math.random() * ceiling)
  }

  #runBatch(): void {
    const startedAt = performance.now()
    const careful = this.#careful
    this.#careful = false
    const done: { entry: PendingWrite; settle: Settle }[] = []
    for (const entry of this.#queue) {
      if (done.length >= maxBatchSize || (done.length > 0 && performance.now() - startedAt > maxBatchMs)) break
      try {
        done.push({ entry, settle: careful ? this.#runApart(entry) : settleWith(entry, entry.work()) })
      } catch (error) {
        if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
        // Once more, each in a savepoint of its own: those cost too much to have for the rare write that fails.
        if (!careful) this.#careful = true
        // SQLite has rolled the whole transaction back (disk full, I/O error): nobody's write stands.
        else for (const { reject } of this.#queue.splice(0, done.length + 1)) reject(translated(error))
        return
      }
    }
    this.#queue.splice(0, done.length)
    try {
      this.#commit.run()
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      for (const { entry } of done) entry.reject(translated(error, 'accept_outcome_unknown'))
      return
    }
    for (const { entry, settle } of done) this.#committed.push({ settle, fail: entry.reject })
    this.#flush()
  }

  /** What it throws undoes its own writes only. */
  #runApart(entry: PendingWrite): Settle {
    this.#savepoint.run()
    try {
      const value = entry.work()
      this.#release.run()
      return settleWith(entry, value)
    } catch (error) {
      if (!this.#db.isTransaction) throw error
      this.#undo.run()
      this.#release.run()
      return () => entry.reject(translated(error))
    }
  }

  #flush(): void {
    if (this.#flushing || this.#committed.length === 0) return
    this.#flushing = true
    const batch = this.#committed.splice(0)
    const fail = (cause: Error) => {
      for (const write of batch.splice(0)) write.fail(new AppError('accept_outcome_unknown', undefined, { cause }))
    }
    const timer = setInterval(() => {
      const cause = new Error(`no answer from the disk in ${flushDeadlineMs} ms`)
      fail(cause)
      for (const entry of this.#queue.splice(0)) entry.reject(new AppError('store_unavailable', undefined, { cause }))
    }, flushDeadlineMs)
    fdatasync(this.#walFd, (error) => {
      clearInterval(timer)
      this.#flushing = false
      if (error) {
        // After a failed flush the kernel may have dropped the pages: nothing later in this file can be promised either.
        this.#broken = new AppError('store_unavailable', 'The disk refused to keep the database. Restart the process.', {
          cause: error,
        })
        fail(error)
        for (const entry of this.#queue.splice(0)) entry.reject(this.#broken)
        // Only a new process can write again: nobody catches this, so that this one hands over what it holds and ends.
        void endProcess(this.#broken)
      } else {
        for (const write of batch) write.settle()
      }
      this.#flush()
      if (this.#queue.length > 0 && !this.#flushing) this.#schedule()
      this.#wakeIdle()
    })
  }

  #wakeIdle(): void {
    if (this.#queue.length > 0 || this.#flushing || this.#committed.length > 0) return
    for (const wake of this.#idle.splice(0)) wake()
  }
}

function settleWith(entry: PendingWrite, value: unknown): Settle {
  return () => entry.resolve(value)
}

async function endProcess(error: AppError): Promise<never> {
  throw error
}
