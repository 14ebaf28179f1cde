// The only writer of one held session's status: in the store with its event, fenced, and in Redis for those who ask about now.
import type { Log } from '../platform/log.ts'
import { hasCode } from '../platform/errors.ts'
import { retryStore } from '../messages/retry-store.ts'
import type { Lease } from '../sessions/lease.ts'
import { writeLiveSession, type LiveChanges, type LiveDeps } from '../sessions/live-session.ts'
import { describeNothing, describeStatus } from '../sessions/session-events.ts'
import type { Describe, EventDraft, PublishedEvent } from '../store/event-store.ts'
import type { HolderChanges, SessionRecord, SessionStatus } from '../store/session-store.ts'
import type { Store } from '../store/store.ts'

export interface StateDeps extends LiveDeps {
  store: { sessions: Pick<Store['sessions'], 'get' | 'update' | 'settle'>; events: Pick<Store['events'], 'append'> }
  announce: (published: PublishedEvent[]) => void
  /** Aborts when the lease is given up or lost: nothing is waited for any longer. */
  ending: AbortSignal
  /** The store or Redis knows a higher epoch than ours. */
  onStale: () => void
  log: Log
}

/** Reads and writes happen one after the other. Each is repeated while the store is away, until the lease ends. */
export class SessionState {
  readonly #deps: StateDeps
  readonly #lease: Lease
  #tail: Promise<unknown> = Promise.resolve()
  #liveTail: Promise<unknown> = Promise.resolve()
  #live: LiveChanges = {}
  #lastEventAt = 0
  /** As the store has them, as far as we know. */
  #stored: { status?: SessionStatus; statusReason?: string | null } = {}

  constructor(deps: StateDeps, lease: Lease) {
    this.#deps = deps
    this.#lease = lease
  }

  /** Null when the session is gone. */
  async read(): Promise<SessionRecord | null> {
    return this.#inOrder(async () => {
      const record = await retryStore(() => this.#deps.store.sessions.get(this.#lease.sessionId), this.#deps)
      if (record) this.#stored = record
      return record
    })
  }

  /** Status, reason and whatever was learned; told as `session.status` when it is news. @throws AppError `stale_epoch` */
  async change(status: SessionStatus, reason: string | null, changes: HolderChanges = {}, live: LiveChanges = {}): Promise<void> {
    this.show({ state: status, ...live })
    await this.#update(() => {
      const isNews = status !== this.#stored.status || reason !== this.#stored.statusReason
      if (!isNews && Object.keys(changes).length === 0) return null
      return { ...changes, status, statusReason: reason, lastEventAt: this.#eventNow() }
    }, describeStatus)
  }

  /** Changes that leave the status alone. @throws AppError `stale_epoch` */
  async note(changes: HolderChanges, describe: Describe<SessionRecord> = describeNothing): Promise<void> {
    await this.#update(() => changes, describe)
  }

  /**
   * Ends the duty for this session. False when the user asked for something else meanwhile: look again.
   * @throws AppError `stale_epoch`
   */
  async settle(revision: number, status: SessionStatus, reason: string | null, changes: HolderChanges = {}): Promise<boolean> {
    const { sessionId, epoch } = this.#lease
    const all = { ...changes, status, statusReason: reason, lastEventAt: this.#eventNow() }
    const write = () => this.#deps.store.sessions.settle(sessionId, epoch, revision, all, describeStatus)
    const outcome = await this.#inOrder(() => retryStore(write, this.#deps))
    if (outcome) {
      this.#deps.announce(outcome.published)
      this.#deps.log.info({ status, reason }, 'session.settled')
    }
    return outcome !== null
  }

  /** Something happened in the session: `lastEventAt`, written at most once a minute. */
  touch(): void {
    const now = Date.now()
    if (now - this.#lastEventAt < 60_000) return
    this.#lastEventAt = now
    this.#background(
      'touch',
      this.#update(() => ({ lastEventAt: now }), describeNothing),
    )
  }

  /** An event that goes with no change of the session. */
  tell(draft: EventDraft): void {
    const append = async () => {
      const write = () => this.#deps.store.events.append(this.#lease.sessionId, [draft])
      this.#deps.announce(await retryStore(write, this.#deps))
    }
    this.#background('tell', append())
  }

  /** Into Redis, in order, without waiting: Redis away only makes the live state stale until `showAgain`. */
  show(changes: LiveChanges): void {
    const { qr: _qr, pairingCode: _code, ...lasting } = changes
    this.#live = { ...this.#live, ...lasting }
    this.#write(changes)
  }

  /** After Redis lost its data. */
  showAgain(): void {
    this.#write(this.#live)
  }

  /** Everything shown so far is in Redis, or was refused. */
  async shown(): Promise<void> {
    await this.#liveTail
  }

  #eventNow(): number {
    this.#lastEventAt = Date.now()
    return this.#lastEventAt
  }

  #write(changes: LiveChanges): void {
    const write = async () => {
      if (!this.#lease.isTrusted()) return
      if (!(await writeLiveSession(this.#deps, this.#lease, changes))) this.#deps.onStale()
    }
    this.#liveTail = this.#liveTail.then(write).catch((err: unknown) => {
      this.#deps.log.debug({ err }, 'session.live_not_written')
    })
  }

  /** `decide` is asked when all that came before is stored; null: there is nothing to write. */
  async #update(decide: () => HolderChanges | null, describe: Describe<SessionRecord>): Promise<void> {
    const { sessionId, epoch } = this.#lease
    await this.#inOrder(async () => {
      const changes = decide()
      if (!changes) return
      const write = () => this.#deps.store.sessions.update(sessionId, epoch, changes, describe)
      const { record, published } = await retryStore(write, this.#deps)
      this.#stored = record
      this.#deps.announce(published)
      if (changes.status) this.#deps.log.info({ status: changes.status, reason: changes.statusReason }, 'session.changed')
    })
  }

  async #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(work)
    this.#tail = turn.catch(() => undefined)
    try {
      return await turn
    } catch (error) {
      if (hasCode(error, 'stale_epoch')) this.#deps.onStale()
      throw error
    }
  }

  #background(what: string, work: Promise<unknown>): void {
    work.catch((err: unknown) => {
      if (!this.#deps.ending.aborted) this.#deps.log.warn({ err, what }, 'session.write_failed')
    })
  }
}
