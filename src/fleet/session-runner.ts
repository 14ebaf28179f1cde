// One held session for as long as its lease lasts: connects, drains, answers commands, carries out what the user asks for, hands over.
import { monotonicMs, sleep, withDeadline } from '../platform/clock.ts'
import { hasCode } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { SendQueueDrain } from '../messages/drain-queue.ts'
import type { LinkPreviews } from '../messages/link-preview.ts'
import type { SendQueues } from '../messages/send-queue.ts'
import type { Lease } from '../sessions/lease.ts'
import { releaseLeases } from '../sessions/lease-scripts.ts'
import { clearLiveSession, type WakeReason } from '../sessions/live-session.ts'
import { notConnected, serveCommands, type CommandHandlers } from '../sessions/session-command.ts'
import type { SessionIntent, SessionRecord } from '../store/session-store.ts'
import type { SessionCredentials } from '../whatsapp/whatsapp-client.ts'
import { finishSendMs, SessionConnector, type ConnectDeps } from './connect-session.ts'
import { takeoverSeconds } from './fleet-metrics.ts'
import { logOutSession, removeSession } from './leave-session.ts'
import { SessionState } from './session-state.ts'

export interface RunnerDeps extends ConnectDeps {
  vault: { forSession(sessionId: string, epoch: number): SessionCredentials }
  queues: SendQueues
  previews: LinkPreviews
  /** Messages a second of all sessions together; null: no limit. */
  fleetPerSecond: number | null
  ackTimeoutMs: number
}

const closeMs = 5_000
const releaseMs = 16_000
const pauseAfterErrorMs = 5_000

export class SessionRunner {
  readonly lease: Lease
  readonly sessionId: string
  /** Settles when nothing of it runs any more: released or fenced. Never rejects. */
  readonly done: Promise<void>
  readonly #deps: RunnerDeps
  readonly #log: Log
  readonly #state: SessionState
  readonly #credentials: SessionCredentials
  readonly #connector: SessionConnector
  /** Aborts when the lease is given up or lost. */
  readonly #ending = new AbortController()
  /** Aborts what is being tried at present, so that the loop looks again. */
  #attempt = new AbortController()
  #drain: SendQueueDrain
  #record: SessionRecord | null = null
  #isReleasing = false
  #closingAt: number | null = null
  #isFenced = false
  #hasLoggedOut = false
  #serving: Promise<unknown> = Promise.resolve()

  /** `orphanedAt`: when its worker was last heard of, for a session taken from a dead one. On the monotonic clock. */
  constructor(deps: RunnerDeps, lease: Lease, orphanedAt: number | null = null) {
    this.lease = lease
    this.sessionId = lease.sessionId
    this.#log = deps.log.child({ sessionId: lease.sessionId, epoch: lease.epoch })
    this.#deps = { ...deps, log: this.#log }
    const ending = this.#ending.signal
    this.#state = new SessionState({ ...this.#deps, ending, onStale: () => this.fence('superseded') }, lease)
    this.#credentials = deps.vault.forSession(lease.sessionId, lease.epoch)
    this.#drain = this.#newDrain()
    this.#connector = new SessionConnector({
      ...this.#deps,
      lease,
      state: this.#state,
      credentials: this.#credentials,
      ending,
      drain: () => this.#drain,
      opened: (client, isReconnect) => {
        if (orphanedAt !== null) takeoverSeconds.observe((monotonicMs() - orphanedAt) / 1_000)
        orphanedAt = null
        if (!this.#isReleasing) this.#drain.attach(client, isReconnect)
      },
      ready: () => this.#serve(),
    })
    this.done = this.#run()
  }

  get isConnected(): boolean {
    return this.#connector.socket?.isOpen === true
  }

  /** May be moved to another worker now: neither sending nor pairing nor leaving. */
  get isMovable(): boolean {
    if (this.#isReleasing || this.#drain.busy || this.#record?.intent !== 'connect') return false
    const { socket } = this.#connector
    return socket ? socket.pairing === null : this.#record.status !== 'pairing'
  }

  /** Of the present socket, milliseconds on the monotonic clock. */
  get lastTrafficAt(): number | null {
    return this.#connector.socket?.client.lastTrafficAt ?? null
  }

  /** For how long its socket has been closing or closed, when it was released; null when it had none. */
  get closedForMs(): number | null {
    return this.#closingAt === null ? null : Math.round(monotonicMs() - this.#closingAt)
  }

  wake(reason: WakeReason): void {
    if (reason === 'intent') void this.#refresh()
    else if (reason === 'command') this.#serve()
    else this.#drain.wake(reason)
    if (reason === 'settings') void this.#connector.settingsChanged()
  }

  /** What the store says is wanted, from a sweep: makes up for a wake-up that was lost. */
  notice(intent: SessionIntent): void {
    if (this.#record && this.#record.intent !== intent) void this.#refresh()
  }

  /** Redis lost its data: show the state again, and have the queue compared with the store. */
  restored(): void {
    this.#state.showAgain()
    void this.#drain.recover()
  }

  /** Hands the session over within this time: finishes the send in flight, flushes keys, closes the socket, releases the lease. */
  async release(withinMs = releaseMs): Promise<void> {
    const endsAt = monotonicMs() + withinMs
    if (!this.#isReleasing) {
      this.#isReleasing = true
      await withDeadline(this.#drain.detach(), Math.min(finishSendMs, withinMs / 2)).catch(() => undefined)
      if (this.#connector.socket) this.#closingAt = monotonicMs()
      this.#ending.abort()
    }
    await withDeadline(this.done, Math.max(1, endsAt - monotonicMs())).catch(() => this.#abandon())
  }

  /** Closing hangs. Once the lease is dropped not one byte can leave any more, so another may take it. */
  async #abandon(): Promise<void> {
    if (this.#isFenced) return
    this.fence('abandoned')
    await releaseLeases(this.#deps, this.lease.incarnation, [this.lease])
  }

  /** The right to act is gone: everything is closed, nothing is written or released. `superseded`: somebody else's epoch is higher. */
  fence(reason: 'trust_lost' | 'superseded' | 'abandoned'): void {
    if (!this.#isFenced) this.#log.warn({ reason }, 'session.fenced')
    this.#isFenced = true
    this.lease.drop()
    this.#ending.abort()
  }

  #newDrain(): SendQueueDrain {
    const { store, announce, queues, previews, fleetPerSecond, ackTimeoutMs, log } = this.#deps
    const deps = {
      messages: store.messages,
      sessions: store.sessions,
      fleetPerSecond,
      announce,
      queues,
      previews,
      incarnation: this.lease.incarnation,
      lease: this.lease,
      onSocketDead: (reason: string) => this.#connector.socket?.replace('socket_dead', reason),
      log,
      ackTimeoutMs,
    }
    return new SendQueueDrain(deps, this.sessionId)
  }

  async #run(): Promise<void> {
    // Not within the constructor: `done` must stand before anything can end it.
    await Promise.resolve()
    try {
      await this.#loop()
    } catch (err) {
      this.#log.error({ err }, 'session.run_failed')
    }
    this.#ending.abort()
    try {
      await this.#finish()
    } catch (err) {
      this.#log.warn({ err }, 'session.release_failed')
    }
  }

  async #loop(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      try {
        const record = await this.#state.read()
        if (!record || (await this.#carryOut(record)) === 'settled') return
      } catch (err) {
        if (this.#ending.signal.aborted) return
        if (await this.#isBeyondUs(err)) return
        this.#log.error({ err }, 'session.interrupted')
        await sleep(pauseAfterErrorMs, this.#ending.signal)
      }
    }
  }

  /** Credentials that no known key opens are kept: an operator's matter. */
  async #isBeyondUs(err: unknown): Promise<boolean> {
    if (hasCode(err, 'stale_epoch')) {
      this.fence('superseded')
      return true
    }
    if (!hasCode(err, 'credentials_unreadable') || !this.#record) return false
    this.#log.error({ err }, 'credentials.unreadable')
    return this.#state.settle(this.#record.intentRevision, 'disconnected', 'credentials_unreadable').catch(() => false)
  }

  /** `settled` when there is nothing more to do for this session. */
  async #carryOut(record: SessionRecord): Promise<'settled' | 'again'> {
    this.#record = record
    this.#attempt = new AbortController()
    const isSettled = (settled: boolean) => (settled ? 'settled' : 'again')
    switch (record.intent) {
      case 'connect': {
        const next = await this.#connector.connect(record, this.#attempt.signal)
        if (next === 'lost') this.fence('superseded')
        return next === 'settled' ? 'settled' : 'again'
      }
      case 'disconnect':
        return isSettled(await this.#state.settle(record.intentRevision, 'disconnected', 'requested', { pairingStartedAt: null }))
      case 'logout':
      case 'delete':
        return isSettled(await this.#leave(record))
    }
  }

  async #leave(record: SessionRecord): Promise<boolean> {
    if (!this.#hasLoggedOut) await this.#connector.logOut(record)
    this.#hasLoggedOut = false
    await this.#drain.close()
    this.#drain = this.#newDrain()
    this.#connector.forget()
    const deps = {
      ...this.#deps,
      lease: this.lease,
      state: this.#state,
      credentials: this.#credentials,
      ending: this.#ending.signal,
      onStale: () => this.fence('superseded'),
    }
    if (record.intent === 'logout') return logOutSession(deps, record)
    await removeSession(deps, record)
    return true
  }

  /** The user asked for something: look at the session, and end what is being tried when it is not wanted any more. */
  async #refresh(): Promise<void> {
    try {
      const record = await this.#state.read()
      const known = this.#record
      if (!record || !known || this.#ending.signal.aborted || record.intentRevision === known.intentRevision) return
      // Connected as asked; or it is waiting to try again, and the user does not want to wait.
      if (record.intent === 'connect' && known.intent === 'connect' && this.#connector.socket) {
        known.intentRevision = record.intentRevision
        return
      }
      const attempt = this.#attempt
      if (record.intent !== 'connect') await this.#finishSocket(record)
      attempt.abort()
    } catch (err) {
      if (!this.#ending.signal.aborted) this.#log.warn({ err }, 'session.refresh_failed')
    }
  }

  /** The send in flight, and the log-out while the socket is open anyway. */
  async #finishSocket(record: SessionRecord): Promise<void> {
    if (!this.isConnected) return
    await withDeadline(this.#drain.detach(), finishSendMs).catch(() => undefined)
    if (record.intent === 'disconnect') return
    await this.#connector.logOut(record)
    this.#hasLoggedOut = true
  }

  #serve(): void {
    const handlers: CommandHandlers = {
      contacts_check: async ({ phoneNumbers }) => {
        const { socket } = this.#connector
        if (!socket?.isOpen) throw notConnected()
        return socket.client.checkContacts(phoneNumbers)
      },
      pairing_code: async ({ phoneNumber }) => {
        const { socket } = this.#connector
        if (!socket?.pairing) throw notConnected('The session is not showing codes at present.')
        return socket.pairing.code(phoneNumber)
      },
    }
    this.#serving = this.#serving
      .then(() => (this.#ending.signal.aborted ? 0 : serveCommands(this.#deps, this.lease, handlers)))
      .catch((err: unknown) => this.#log.warn({ err }, 'commands.not_served'))
  }

  async #finish(): Promise<void> {
    await this.#connector.socket?.end()
    await withDeadline(this.#drain.close(), closeMs).catch(() => undefined)
    if (this.#isFenced) return
    await this.#state.shown()
    await clearLiveSession(this.#deps, this.sessionId, this.lease.epoch)
    this.lease.drop()
    await releaseLeases(this.#deps, this.lease.incarnation, [this.lease])
  }
}
