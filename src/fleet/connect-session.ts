// Connecting one held session: waits its turn, opens a socket, keeps it until it ends, and plans the next try.
import { monotonicMs, sleep, withDeadline } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { SendQueueDrain } from '../messages/drain-queue.ts'
import { retryStore } from '../messages/retry-store.ts'
import { recordConnection, recordReconnect, recordWatchdogAction, type ConnectionChange } from '../sessions/connection-history.ts'
import type { Lease } from '../sessions/lease.ts'
import type { LeaseDeps } from '../sessions/lease-scripts.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import type { SessionRecord } from '../store/session-store.ts'
import type { Store } from '../store/store.ts'
import { createSessionCaches, type SessionCaches } from '../whatsapp/session-caches.ts'
import type { ClientEvents, SessionCredentials, WhatsAppClient } from '../whatsapp/whatsapp-client.ts'
import { decideNext } from './decide-next.ts'
import { reconnects } from './fleet-metrics.ts'
import type { NetworkOutage } from './network-outage.ts'
import { goesElsewhere, type OpenProxy } from './proxy-route.ts'
import { Reconnect } from './reconnect.ts'
import type { SessionState } from './session-state.ts'
import { SessionSocket, type SocketEnd } from './session-socket.ts'
import type { OpenPriority, SocketOpens } from './socket-opens.ts'
import type { Watchdog } from './watchdog.ts'

export interface OpenSession {
  record: SessionRecord
  lease: Lease
  credentials: SessionCredentials
  caches: SessionCaches
  log: Log
}

export interface ConnectDeps extends LeaseDeps {
  store: Store
  announce: (published: PublishedEvent[]) => void
  opens: SocketOpens
  outage: NetworkOutage
  watchdog: Watchdog
  /** The network that this worker is configured for. */
  network: 'whatsapp' | 'sandbox'
  openProxy: OpenProxy
  openClient: (session: OpenSession, events: ClientEvents) => WhatsAppClient
  log: Log
}

interface HeldDeps extends ConnectDeps {
  lease: Lease
  state: SessionState
  credentials: SessionCredentials
  /** Aborts when the lease ends. */
  ending: AbortSignal
  drain: () => SendQueueDrain
  /** Logged in: messages may leave through it. */
  opened: (client: WhatsAppClient, isReconnect: boolean) => void
  /** Commands can be answered. */
  ready: () => void
}

/** A send in flight may take this long at a handover; then its outcome is unknown and the next holder sends it again, with the same id. */
export const finishSendMs = 5_000
const logOutMs = 5_000
const tellWhatsAppMs = 15_000

export class SessionConnector {
  readonly #deps: HeldDeps
  readonly #caches = createSessionCaches()
  readonly #reconnect = new Reconnect()
  #socket: SessionSocket | null = null
  #delay = { ms: 0, mayBeNetwork: false }
  #nextPriority: OpenPriority = 'normal'
  /** The session as the present try knows it. */
  #tried: SessionRecord | null = null
  /** Aborts the present try while it has no socket yet. */
  #anew = new AbortController()

  constructor(deps: HeldDeps) {
    this.#deps = deps
  }

  get socket(): SessionSocket | null {
    return this.#socket
  }

  /** One try, from its wait to its end. `attempt` aborts it. Says whether the duty has ended, the lease is another's, or to look again. */
  async connect(record: SessionRecord, attempt: AbortSignal): Promise<'settled' | 'lost' | 'again'> {
    const { state, network, opens, ending } = this.#deps
    this.#tried = record
    this.#anew = new AbortController()
    const signal = AbortSignal.any([ending, attempt, this.#anew.signal])
    const isPaired = await this.#isPaired()
    const settle = async (reason: string) =>
      (await state.settle(record.intentRevision, 'disconnected', reason, { pairingStartedAt: null })) ? 'settled' : 'again'
    if (isPaired && record.network !== null && record.network !== network) return settle('wrong_network')
    const priority = await this.#wait(isPaired, signal)
    if (signal.aborted) return 'again'
    const pairingEndsAt = isPaired ? null : await this.#beginPairing(record)
    if (pairingEndsAt !== null && pairingEndsAt <= Date.now()) return settle('pairing_timed_out')
    if (isPaired) await this.#showConnecting(record)
    const handshaken = await opens.acquire(priority, signal)
    if (!handshaken) return 'again'
    const end = await this.#hold(record, { isPaired, pairingEndsAt, handshaken, signal })
    if (end.wasOpen) this.#noteConnection(attempt.aborted && !ending.aborted ? 'off' : 'down')
    const next = await decideNext(this.#deps, this.#deps.lease, {
      record,
      end,
      isPaired: isPaired || end.wasPaired,
      isAsked: signal.aborted,
    })
    if (next.kind !== 'again') return next.kind
    this.#plan(end, next.isAsked, record.settings.proxyUrl !== null)
    return 'again'
  }

  /** Leaves WhatsApp's list of linked devices, through the open socket or a new one. What fails here does not keep the session. */
  async logOut(record: SessionRecord): Promise<void> {
    const { ending, opens, network, log } = this.#deps
    try {
      if (this.#socket?.isOpen) {
        await this.#socket.client.logout(logOutMs)
        return
      }
      if (!(await this.#isPaired()) || record.network !== network) return
      const signal = AbortSignal.any([ending, AbortSignal.timeout(tellWhatsAppMs)])
      const handshaken = await opens.acquire('normal', signal)
      if (handshaken) await this.#openToLogOut(record, handshaken, signal)
    } catch (err) {
      log.info({ err }, 'session.logout_not_told')
    }
  }

  /** With another proxy than that of the present try, or none any more, it connects anew, after the send in flight. */
  async settingsChanged(): Promise<void> {
    const { state, ending, openProxy, drain, log } = this.#deps
    try {
      const record = await state.read()
      const tried = this.#tried
      if (!record || !tried || ending.aborted || !goesElsewhere(openProxy, tried, record)) return
      tried.settings = record.settings
      const socket = this.#socket
      const anew = this.#anew
      if (socket?.isOpen) await withDeadline(drain().detach(), finishSendMs).catch(() => undefined)
      if (socket) socket.replace('proxy_changed')
      else anew.abort()
    } catch (err) {
      if (!ending.aborted) log.warn({ err }, 'session.refresh_failed')
    }
  }

  /** Keys in memory belong to credentials that are gone. */
  forget(): void {
    this.#caches.forgetKeys()
    this.#caches.devices.flushAll()
  }

  async #isPaired(): Promise<boolean> {
    return (await retryStore(() => this.#deps.credentials.readCreds(), this.#deps)) !== null
  }

  async #wait(isPaired: boolean, signal: AbortSignal): Promise<OpenPriority> {
    const { ms, mayBeNetwork } = this.#delay
    const priority = isPaired ? this.#nextPriority : 'pairing'
    this.#delay = { ms: 0, mayBeNetwork: false }
    this.#nextPriority = 'normal'
    if (mayBeNetwork) return (await this.#deps.outage.turn(ms, signal)) === 'probe' ? 'probe' : priority
    if (ms > 0) await sleep(ms, signal)
    return priority
  }

  /** When the pairing times out; it began when the session became `pairing`, whoever held it then. */
  async #beginPairing(record: SessionRecord): Promise<number> {
    const timeoutMs = record.settings.pairingTimeoutSeconds * 1_000
    if (record.status === 'pairing' && record.pairingStartedAt !== null) {
      this.#deps.state.show({ state: 'pairing', reconnectAt: null })
      return record.pairingStartedAt + timeoutMs
    }
    const pairingStartedAt = Date.now()
    // What an earlier log-out may have left: the network is that of credentials, and there are none.
    await this.#deps.state.change('pairing', null, { pairingStartedAt, network: null }, { connectedAt: null, reconnectAt: null })
    return pairingStartedAt + timeoutMs
  }

  async #showConnecting(record: SessionRecord): Promise<void> {
    const { state } = this.#deps
    const live = { connectedAt: null, reconnectAt: null }
    if (record.status === 'connecting' || record.status === 'reconnecting') state.show({ state: record.status, ...live })
    // It was connected through another worker, which has ended or handed it over.
    else if (record.status === 'connected') {
      this.#noteConnection('down')
      await state.change('reconnecting', 'worker_changed', {}, live)
    } else await state.change('connecting', null, {}, live)
  }

  async #hold(
    record: SessionRecord,
    options: { isPaired: boolean; pairingEndsAt: number | null; handshaken: () => void; signal: AbortSignal },
  ): Promise<SocketEnd> {
    const { drain } = this.#deps
    const { isPaired, pairingEndsAt, handshaken, signal } = options
    // A proxy that hangs must not hold up sessions that go another way.
    if (record.settings.proxyUrl !== null) handshaken()
    const socket = this.#openSocket(record, isPaired, handshaken, () => {
      this.#reconnect.opened(monotonicMs())
      this.#noteConnection('up')
      if (!signal.aborted) this.#deps.opened(socket.client, record.lastConnectedAt !== null)
    })
    this.#socket = socket
    const timeout =
      pairingEndsAt === null
        ? undefined
        : setTimeout(() => socket.replace('done', 'pairing timed out'), pairingEndsAt - Date.now())
    const close = () => void socket.end()
    signal.addEventListener('abort', close, { once: true })
    if (signal.aborted) close()
    const end = await socket.ended
    signal.removeEventListener('abort', close)
    clearTimeout(timeout)
    this.#socket = null
    // Its send in flight ends as unknown now that the socket is closed; the next one must not wait long for that.
    await withDeadline(drain().detach(), 2_000).catch(() => undefined)
    return end
  }

  #openSocket(record: SessionRecord, isPaired: boolean, handshaken: () => void, opened: () => void): SessionSocket {
    const { lease, credentials, openClient, outage, drain, log } = this.#deps
    const isProxied = record.settings.proxyUrl !== null
    const deps = {
      ...this.#deps,
      record,
      drain: drain(),
      handshaken,
      reached: () => {
        if (!isProxied) outage.succeeded()
      },
      opened,
      openClient: (events: ClientEvents) => openClient({ record, lease, credentials, caches: this.#caches, log }, events),
    }
    return new SessionSocket(deps, isPaired)
  }

  async #openToLogOut(record: SessionRecord, handshaken: () => void, signal: AbortSignal): Promise<void> {
    const socket = this.#openSocket(record, true, handshaken, () => {
      void socket.client
        .logout(logOutMs)
        .catch(() => undefined)
        .finally(() => void socket.end())
    })
    const close = () => void socket.end()
    signal.addEventListener('abort', close, { once: true })
    if (signal.aborted) close()
    await socket.ended
    signal.removeEventListener('abort', close)
  }

  /** When to try next. Many that fail at once do not count against each; through proxies of their own they say nothing of our network. */
  #plan({ cause, wasOpen, wasPaired }: SocketEnd, isAsked: boolean, isProxied: boolean): void {
    const { outage, log, state, lease } = this.#deps
    const isRestart = cause.action === 'restart' && (wasPaired || cause.code === 0)
    const mayBeNetwork = !isAsked && !isProxied && (cause.isNetwork || cause.action === 'retry')
    if (mayBeNetwork) outage.failed(lease.sessionId)
    const action = cause.action === 'restart' && !isRestart ? 'retry' : cause.action
    const isOutage = mayBeNetwork && outage.isOn
    const ms = isAsked ? 0 : this.#reconnect.delayAfter({ ...cause, action }, monotonicMs(), !isOutage)
    this.#delay = { ms, mayBeNetwork }
    this.#nextPriority = isRestart ? 'restart' : 'normal'
    if (isAsked) return
    state.show({ connectedAt: null, reconnectAt: Date.now() + ms })
    const { code, reason, detail } = cause
    log.info({ code, reason, detail, wasOpen, delayMs: ms, attempt: this.#reconnect.attempt }, 'socket.closed')
    reconnects.inc({ reason })
    if (!isRestart) this.#write(recordReconnect(this.#deps, lease.sessionId, { reason, at: Date.now(), isOutage }))
    if (reason !== 'deaf' && reason !== 'no_ack') return
    const action_ = { action: 'reconnect' as const, reason: detail === '' ? reason : `${reason}: ${detail}`, at: Date.now() }
    this.#write(recordWatchdogAction(this.#deps, lease.sessionId, action_))
  }

  /** A holder that may be another's predecessor by now says nothing: the next one notes what it finds. */
  #noteConnection(to: ConnectionChange['to']): void {
    const { lease } = this.#deps
    if (lease.isTrusted()) this.#write(recordConnection(this.#deps, lease.sessionId, { at: Date.now(), to }))
  }

  #write(work: Promise<void>): void {
    work.catch((err: unknown) => this.#deps.log.debug({ err }, 'reconnect.not_recorded'))
  }
}
