// The life of one Baileys socket: credentials, connection, events, and one ending, whoever brings it about.
import { makeWASocket, type BaileysEventMap, type BinaryNode, type WASocket } from '@whiskeysockets/baileys'
import { monotonicMs, withDeadline } from '../platform/clock.ts'
import { AppError, hasCode } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { lidOf, phoneNumberOf } from './address.ts'
import { answerRetry } from './answer-retry.ts'
import { openAuthState, type AuthState } from './auth-state.ts'
import { baileysOptions, type ClientConfig } from './baileys-options.ts'
import { causeOf, ownCauses, type DisconnectCause, type DisconnectRule } from './disconnect-reason.ts'
import { createGuardedConnection, type GuardedConnection } from './guarded-connection.ts'
import { Incoming } from './incoming.ts'
import { guardListeners } from './library-faults.ts'
import { OrderedEvents } from './ordered-events.ts'
import type { SentContent } from './outgoing-content.ts'
import { PendingAcks } from './pending-acks.ts'
import type { ProxyRoute } from './proxy-tunnel.ts'
import { createSideDownloads } from './side-downloads.ts'
import type { SessionCaches } from './session-caches.ts'
import { durableSignalRepository } from './signal-repository.ts'
import type { ClientEvents, SessionCredentials } from './whatsapp-client.ts'

export interface WhatsAppClientDeps {
  credentials: SessionCredentials
  /** One per held session, kept over its reconnects. */
  caches: SessionCaches
  config: ClientConfig
  /** Whether the lease is trusted, now: asked in the same tick as each write to the network. */
  mayWrite(): boolean
  /** The proxy that the connection goes through, if any; asked once. @throws AppError `credentials_unreadable` */
  openProxy(): ProxyRoute | null
  /** What was sent under this id, for a phone that could not decrypt it. Null when it is not known. */
  getMessage(whatsappId: string): Promise<SentContent | null>
  /** Whether an inbound message with this id is stored: asked only of what cannot be decrypted. */
  hasInbound(whatsappId: string): Promise<boolean>
  log: Log
}

/** The first QR stands longer than those after it; Baileys' own times. */
const qrTtlMs = { first: 60_000, later: 20_000 } as const
/** From the start to the first stanza. */
const connectTimeoutMs = 20_000
/** From the start to the first QR or the login. */
const loginTimeoutMs = 60_000
const flushTimeoutMs = 5_000
/** A server that is there answers a closing handshake at once. */
const politeCloseMs = 1_000

export class SocketLife {
  readonly acks = new PendingAcks()
  /** Settles with the first QR, or with false when none will come: logged in, or ended. */
  readonly firstQr = Promise.withResolvers<boolean>()
  readonly #deps: WhatsAppClientDeps
  readonly #events: ClientEvents
  readonly #ordered: OrderedEvents
  readonly #incoming: Incoming
  readonly #connection: GuardedConnection
  readonly #downloads = createSideDownloads(() => this.#proxy)
  readonly #onGone = new Set<() => void>()
  readonly #libraryClosed = Promise.withResolvers<void>()
  readonly #connectTimer: NodeJS.Timeout
  readonly #loginTimer: NodeJS.Timeout
  #auth: AuthState | undefined
  #proxy: ProxyRoute | null = null
  #socket: WASocket | undefined
  #isOpen = false
  /** Not one byte more leaves. */
  #isGone = false
  #hasHadQr = false
  /** Why we end it; otherwise the reason is what Baileys says. */
  #cause: DisconnectCause | undefined
  #ending: Promise<void> | undefined
  #lastTrafficAt = monotonicMs()
  #restrictedUntil: number | null = null

  constructor(deps: WhatsAppClientDeps, events: ClientEvents) {
    this.#deps = deps
    this.#events = events
    this.#ordered = new OrderedEvents((error) => void this.#notStored(error))
    this.#incoming = new Incoming({ ...deps, events, acks: this.acks, ordered: this.#ordered })
    this.#connection = createGuardedConnection({
      url: deps.config.whatsappUrl,
      mayWrite: () => deps.mayWrite(),
      proxy: () => this.#proxy,
      onConnected: (localPort) => deps.log.info({ localPort }, 'socket.connected'),
      onRefused: () => void this.end(ownCauses.leaseLost, { polite: false }),
      onProxyFailed: (detail) => void this.end({ ...ownCauses.proxyFailed, detail }, { polite: false }),
    })
    this.#connectTimer = setTimeout(() => {
      void this.end({ ...unreachable, detail: 'no connection in time' }, { polite: false })
    }, connectTimeoutMs)
    this.#loginTimer = setTimeout(() => {
      void this.end({ ...connectionLost, detail: 'no login in time' }, { polite: false })
    }, loginTimeoutMs)
    this.#start().catch((error: unknown) => void this.end(startCause(error), { polite: false }))
  }

  /** Undefined before the login and from the first step of its end on. */
  get openSocket(): WASocket | undefined {
    return this.#isOpen && !this.#ending ? this.#socket : undefined
  }

  /** Whether it is connected and waits to be paired. */
  get pairingSocket(): WASocket | undefined {
    return this.#hasHadQr && !this.#ending && this.#auth?.isPaired === false ? this.#socket : undefined
  }

  get lastTrafficAt(): number {
    return this.#lastTrafficAt
  }

  get restrictedUntil(): number | null {
    return this.#restrictedUntil
  }

  /** Baileys forgets its pending queries when a socket closes; they would wait out their whole time limit. @throws AppError `socket_closed` */
  async whileAlive<T>(work: Promise<T>): Promise<T> {
    work.catch(() => undefined)
    const { promise, reject } = Promise.withResolvers<never>()
    const onGone = () => reject(new AppError('socket_closed'))
    if (this.#ending) onGone()
    this.#onGone.add(onGone)
    try {
      return await Promise.race([work, promise])
    } finally {
      this.#onGone.delete(onGone)
    }
  }

  /** What was asked for from our side explains whatever close comes next. */
  explain(rule: DisconnectRule & { detail?: string }): void {
    this.#cause ??= { ...rule, detail: rule.detail ?? rule.reason }
  }

  /** Resolves when the socket is gone and `closed` has been told. Bounded; idempotent. */
  end(rule: DisconnectRule & { detail?: string }, { polite }: { polite: boolean }): Promise<void> {
    this.explain(rule)
    this.#ending ??= this.#end(polite)
    if (!polite) this.#cut()
    return this.#ending
  }

  reportRestricted(untilMs: number | null): void {
    this.#ordered.post(() => this.#events.restricted({ untilMs }))
  }

  async #start(): Promise<void> {
    const { credentials, caches, config, log } = this.#deps
    const onWriteFailed = (error: unknown) => void this.#notStored(error)
    this.#auth = await openAuthState({ credentials, caches, onWriteFailed })
    if (this.#ending) return
    this.#proxy = this.#deps.openProxy()
    const socket = makeWASocket(
      baileysOptions({
        auth: this.#auth.state,
        agent: this.#connection.agent,
        dispatcher: this.#downloads.dispatcher,
        makeSignalRepository: durableSignalRepository(this.#auth.state, {
          onDecrypted: (ciphertext, plaintext) => this.#incoming.decrypted(ciphertext, plaintext),
          isStored: (ciphertext) => this.#incoming.isStored(ciphertext),
        }),
        getMessage: (key) => answerRetry(this.#deps, this.#socket, key),
        config,
        caches,
        log,
      }),
    )
    this.#socket = socket
    guardListeners(socket.ws, {
      onBadFrame: (err) => {
        log.warn({ err }, 'whatsapp.frame_unreadable')
        void this.end(ownCauses.badFrame, { polite: false })
      },
      onListenerFailed: (err) => log.debug({ err }, 'whatsapp.listener_failed'),
    })
    this.#incoming.attach(socket)
    socket.ws.on('frame', (frame: unknown) => this.#frame(frame))
    socket.ev.on('creds.update', () => this.#auth?.credsChanged())
    socket.ev.on('connection.update', (update) => this.#connectionChanged(update))
  }

  /** While we say goodbye too: Baileys acks what comes then, so it must be stored. */
  #frame(frame: unknown): void {
    if (this.#isGone) return
    this.#lastTrafficAt = monotonicMs()
    this.#events.traffic()
    if (!isStanza(frame)) return
    clearTimeout(this.#connectTimer)
    this.#incoming.stanza(frame)
  }

  #connectionChanged(update: BaileysEventMap['connection.update']): void {
    if (update.connection === 'close') {
      this.#libraryClosed.resolve()
      this.explain(causeOf(update.lastDisconnect?.error))
      this.#ending ??= this.#end(false)
      return
    }
    if (this.#ending) return
    if (update.qr !== undefined) this.#showQr(update.qr)
    if (update.isNewLogin) this.#ordered.post(() => this.#paired())
    if (update.connection === 'open') this.#opened()
    const { reachoutTimeLock } = update
    if (reachoutTimeLock) {
      const until = reachoutTimeLock.isActive ? reachoutTimeLock.timeEnforcementEnds?.getTime() : undefined
      this.#restrictedUntil = until ?? null
      if (reachoutTimeLock.isActive) this.reportRestricted(this.#restrictedUntil)
    }
  }

  #showQr(qr: string): void {
    clearTimeout(this.#loginTimer)
    const ttlMs = this.#hasHadQr ? qrTtlMs.later : qrTtlMs.first
    this.#hasHadQr = true
    this.firstQr.resolve(true)
    this.#events.qr({ qr, expiresAt: Date.now() + ttlMs })
  }

  /** WhatsApp counts us as linked from here on: told only when the credentials are stored. */
  async #paired(): Promise<void> {
    await this.#auth?.flush()
    const { phoneNumber, lid } = this.#identity()
    await this.#events.paired({ phoneNumber, lid })
  }

  #opened(): void {
    clearTimeout(this.#loginTimer)
    this.firstQr.resolve(false)
    this.#isOpen = true
    this.#ordered.post(() => this.#events.open(this.#identity()))
  }

  #identity(): { phoneNumber: string; lid: string | null; pushName: string | null } {
    const me = this.#auth?.state.creds.me
    const name = me?.name === '~' ? undefined : me?.name
    return { phoneNumber: phoneNumberOf(me?.id) ?? '', lid: lidOf(me?.lid), pushName: name ?? null }
  }

  /** WhatsApp must not be told that we have what we could not store: not one byte more. */
  async #notStored(error: unknown): Promise<void> {
    this.#deps.log.warn({ err: error }, 'whatsapp.not_stored')
    await this.end(hasCode(error, 'stale_epoch') ? ownCauses.staleEpoch : ownCauses.notStored, { polite: false })
  }

  async #end(polite: boolean): Promise<void> {
    clearTimeout(this.#connectTimer)
    clearTimeout(this.#loginTimer)
    this.firstQr.resolve(false)
    for (const onGone of this.#onGone) onGone()
    if (polite) await this.#sayGoodbye()
    this.#cut()
    this.acks.closeAll('the socket closed')
    await this.#ordered.end(flushTimeoutMs)
    await this.#flush()
    this.#auth?.seal()
    this.#socket?.end(undefined).catch(() => undefined)
    this.#isOpen = false
    this.#events.closed(this.#cause ?? { ...connectionLost, detail: 'closed' })
  }

  #cut(): void {
    this.#isGone = true
    this.#connection.destroy()
    this.#downloads.destroy()
  }

  /** What is under way is finished and stored; then the server is told, so that it does not wait for us. */
  async #sayGoodbye(): Promise<void> {
    await this.#ordered.idle(politeCloseMs)
    await this.#flush()
    if (!this.#socket) return
    this.#socket.end(undefined).catch(() => undefined)
    await withDeadline(this.#libraryClosed.promise, politeCloseMs).catch(() => undefined)
  }

  async #flush(): Promise<void> {
    const flushed = this.#auth?.flush() ?? Promise.resolve()
    await withDeadline(flushed, flushTimeoutMs).catch((error: unknown) => {
      if (hasCode(error, 'stale_epoch')) this.#cause = { ...ownCauses.staleEpoch, detail: error.message }
    })
  }
}

const unreachable: DisconnectRule = { code: 408, reason: 'unreachable', action: 'retry', isNetwork: true }
const connectionLost: DisconnectRule = { code: 408, reason: 'connection_lost', action: 'retry', isNetwork: true }

function startCause(error: unknown): DisconnectRule {
  if (hasCode(error, 'stale_epoch')) return ownCauses.staleEpoch
  return hasCode(error, 'credentials_unreadable') ? ownCauses.credentialsUnreadable : ownCauses.notStored
}

function isStanza(frame: unknown): frame is BinaryNode {
  return typeof frame === 'object' && frame !== null && 'tag' in frame
}
