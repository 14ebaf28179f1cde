// One socket of a held session, from opening to closed: wires WhatsApp's reports to the store, the queue, the pairing and the watchdog.
import { withDeadline } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { SendQueueDrain } from '../messages/drain-queue.ts'
import { restrictionEnd } from '../messages/pacing.ts'
import { recordLateAck, recordReceipt } from '../messages/record-receipt.ts'
import { retryStore } from '../messages/retry-store.ts'
import { storeInbound } from '../messages/store-inbound.ts'
import type { Lease } from '../sessions/lease.ts'
import { Pairing } from '../sessions/pair-session.ts'
import { describeRestriction } from '../sessions/session-events.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import type { HolderChanges, SessionRecord } from '../store/session-store.ts'
import type { Store } from '../store/store.ts'
import { ownCauses, type DisconnectCause, type DisconnectRule } from '../whatsapp/disconnect-reason.ts'
import type { ClientEvents, WhatsAppClient } from '../whatsapp/whatsapp-client.ts'
import { failUnfinished } from './fail-unfinished.ts'
import type { SessionState } from './session-state.ts'
import type { Watchdog, Watched } from './watchdog.ts'

interface SocketDeps {
  record: SessionRecord
  lease: Lease
  network: 'whatsapp' | 'sandbox'
  state: SessionState
  store: Pick<Store, 'messages'>
  announce: (published: PublishedEvent[]) => void
  drain: SendQueueDrain
  watchdog: Watchdog
  /** Aborts when the lease ends. */
  ending: AbortSignal
  openClient: (events: ClientEvents) => WhatsAppClient
  /** The handshake is over: the socket is open, shows a QR code, or is closed. */
  handshaken: () => void
  /** WhatsApp has answered, with a login or a QR code. */
  reached: () => void
  /** Logged in, and the store has it. Only then may messages leave. */
  opened: () => void
  /** Commands that wait for this state can be answered. */
  ready: () => void
  log: Log
}

export interface SocketEnd {
  cause: DisconnectRule & { detail: string }
  wasOpen: boolean
  wasPaired: boolean
}

/** From opening to logged in or the first QR code; Baileys has limits of its own, this one is for what they miss. */
const handshakeMs = 45_000
/** Flushing keys and saying goodbye; what hangs longer is left behind. */
const closeMs = 6_000

/** Why we end a socket that WhatsApp did not: how the session goes on. */
export const replaceCauses = {
  deaf: { code: 0, reason: 'deaf', action: 'retry', isNetwork: true },
  socket_dead: { code: 0, reason: 'no_ack', action: 'retry', isNetwork: false },
  handshake_timed_out: { code: 0, reason: 'handshake_timed_out', action: 'retry', isNetwork: true },
  fresh_codes: { code: 0, reason: 'fresh_codes', action: 'restart', isNetwork: false },
  proxy_changed: { code: 0, reason: 'proxy_changed', action: 'restart', isNetwork: false },
  done: ownCauses.closed,
} as const satisfies Record<string, DisconnectRule>

export class SessionSocket {
  readonly #deps: SocketDeps
  readonly client: WhatsAppClient
  /** Null when the session is paired already. */
  readonly pairing: Pairing | null
  readonly ended: Promise<SocketEnd>
  #settle: (end: SocketEnd) => void = () => undefined
  #replacedBy: (DisconnectRule & { detail: string }) | undefined
  #wasOpen = false
  #wasPaired = false
  #isEnded = false
  #watched: Watched | undefined
  #timer: NodeJS.Timeout

  constructor(deps: SocketDeps, isPaired: boolean) {
    this.#deps = deps
    this.ended = new Promise((resolve) => {
      this.#settle = resolve
    })
    this.#timer = setTimeout(() => this.replace('handshake_timed_out'), handshakeMs)
    this.client = deps.openClient(this.#events())
    const { state, log, record } = deps
    this.pairing = isPaired
      ? null
      : new Pairing({
          client: this.client,
          pairingPhoneNumber: record.pairingPhoneNumber,
          show: (changes) => state.show(changes),
          tell: (draft) => state.tell(draft),
          renew: () => this.replace('fresh_codes'),
          log,
        })
  }

  get isOpen(): boolean {
    return this.#wasOpen && !this.#isEnded
  }

  /** Ends it from our side; the first reason counts. Resolves when it is closed. */
  async end(): Promise<void> {
    this.#replacedBy ??= { ...replaceCauses.done, detail: '' }
    await this.#close()
  }

  replace(why: keyof typeof replaceCauses, detail = ''): void {
    this.#replacedBy ??= { ...replaceCauses[why], detail }
    void this.#close()
  }

  async #close(): Promise<void> {
    try {
      await withDeadline(this.client.close(), closeMs)
    } catch (err) {
      this.#deps.log.warn({ err }, 'socket.close_failed')
    }
    // `closed` has been reported by now; a client that broke its promise must not hang the session.
    this.#finish({ ...ownCauses.closed, detail: '' })
  }

  #finish(reported: DisconnectCause): void {
    if (this.#isEnded) return
    this.#isEnded = true
    clearTimeout(this.#timer)
    if (this.#watched) this.#deps.watchdog.unwatch(this.#watched)
    this.#deps.handshaken()
    const cause = reported.action === 'none' && this.#replacedBy ? this.#replacedBy : reported
    this.#settle({ cause, wasOpen: this.#wasOpen, wasPaired: this.#wasPaired })
  }

  #events(): ClientEvents {
    const { state, store, announce, drain, ending, log, record } = this.#deps
    const deps = { messages: store.messages, announce, drain, ending, log }
    return {
      qr: (update) => {
        clearTimeout(this.#timer)
        this.#deps.handshaken()
        const isFirst = this.pairing?.isReady === false
        this.pairing?.onQr(update)
        if (isFirst) {
          this.#deps.reached()
          if (record.statusReason !== null) void this.#guarded('qr', () => state.change('pairing', null))
          this.#deps.ready()
        }
      },
      paired: (identity) => this.#guarded('paired', () => this.#paired(identity)),
      open: (identity) => this.#guarded('open', () => this.#open(identity)),
      closed: (cause) => this.#finish(cause),
      inbound: async (message) => {
        state.touch()
        await storeInbound(deps, record.id, message)
        drain.heard()
      },
      receipt: async (update) => {
        state.touch()
        await recordReceipt(deps, record.id, update)
      },
      lateAck: (update) => recordLateAck(deps, record.id, update),
      traffic: () => undefined,
      restricted: ({ untilMs }) => this.#guarded('restricted', () => this.#restricted(untilMs)),
    }
  }

  /** Told once: Baileys asks WhatsApp by itself after a refusal, we ask too, and one that stands may be refused again. */
  async #restricted(untilMs: number | null): Promise<void> {
    const { record, state } = this.#deps
    const now = Date.now()
    const until = restrictionEnd(untilMs, now)
    const known = record.restriction?.until ?? 0
    if (known > now && (until !== untilMs || until === known)) return
    record.restriction = { reason: 'reach_out_restricted', until }
    await state.note({ restriction: record.restriction }, describeRestriction)
  }

  /** Handlers must not throw: what cannot be written ends the socket, unless the lease has ended and with it everything. */
  async #guarded(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (err) {
      if (!this.#deps.ending.aborted) this.#deps.log.error({ err, what }, 'socket.event_failed')
      void this.end()
    }
  }

  async #paired(identity: { phoneNumber: string; lid: string | null }): Promise<void> {
    this.#wasPaired = true
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.replace('handshake_timed_out'), handshakeMs)
    const adopted = await this.#adopt(identity)
    const { state, network } = this.#deps
    if (this.#isEnded) return
    await state.change(
      'connecting',
      null,
      { ...adopted, phoneNumber: identity.phoneNumber, lid: identity.lid, network, pairingStartedAt: null },
      { qr: null, pairingCode: null },
    )
  }

  async #open(identity: { phoneNumber: string; lid: string | null; pushName: string | null }): Promise<void> {
    const { state, network, record, drain, watchdog, opened, ready, handshaken, reached, ending } = this.#deps
    this.#wasOpen = true
    clearTimeout(this.#timer)
    handshaken()
    reached()
    const adopted = await this.#adopt(identity)
    if (this.#isEnded || ending.aborted) return
    const now = Date.now()
    await state.change(
      'connected',
      null,
      {
        ...adopted,
        phoneNumber: identity.phoneNumber,
        lid: identity.lid ?? record.lid,
        pushName: identity.pushName ?? record.pushName,
        network,
        pairingStartedAt: null,
        lastConnectedAt: now,
      },
      { connectedAt: now, reconnectAt: null, qr: null, pairingCode: null },
    )
    if (this.#isEnded || ending.aborted) return
    this.#watched = {
      sessionId: record.id,
      client: this.client,
      isBusy: () => drain.busy,
      onDeaf: (reason) => this.replace('deaf', reason),
      onUnacked: (reason) => this.replace('socket_dead', reason),
    }
    watchdog.watch(this.#watched)
    opened()
    ready()
  }

  /**
   * Messages accepted for another number must not leave from this one, and whom that one knew are strangers to this one. The number is
   * stored after it, and before anything leaves: whoever comes after a crash begins anew.
   */
  async #adopt({ phoneNumber }: { phoneNumber: string }): Promise<HolderChanges> {
    const { record, lease, store } = this.#deps
    const former = record.phoneNumber ?? record.formerPhoneNumber
    if (former === null || former === phoneNumber) return {}
    // After a requested log-out nothing of the former number is left; what was accepted since is for whoever is paired.
    if (record.phoneNumber !== null) await failUnfinished(this.#deps, lease, 'session_logged_out')
    await retryStore(() => store.messages.forgetContacts(lease.sessionId, lease.epoch), this.#deps)
    record.lid = null
    record.pushName = null
    record.restriction = null
    return { restriction: null, pushName: null }
  }
}
