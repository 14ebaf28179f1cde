// One session held by a test: the real client over real Baileys, with what it reported written down.
import { pino } from 'pino'
import type { WhatsAppClientDeps } from '../../src/whatsapp/socket-life.ts'
import { createWhatsAppClient } from '../../src/whatsapp/baileys-client.ts'
import type { DisconnectCause } from '../../src/whatsapp/disconnect-reason.ts'
import { createSessionCaches, type SessionCaches } from '../../src/whatsapp/session-caches.ts'
import type {
  ClientEvents,
  InboundMessage,
  OutgoingMessage,
  ReceiptUpdate,
  SendOutcome,
  WhatsAppClient,
} from '../../src/whatsapp/whatsapp-client.ts'
import { MemoryCredentials } from './memory-credentials.ts'
import type { TestSandbox } from './sandbox.ts'
import { waitFor } from './wait.ts'

const ackTimeoutMs = 10_000
let lastId = 0

/** Reconnects only when told to, but after pairing (515), as a runner does. */
export class WhatsAppSession {
  readonly url: string
  credentials = new MemoryCredentials()
  caches: SessionCaches = createSessionCaches()
  client: WhatsAppClient | undefined
  mayWrite = true
  overrides: Partial<WhatsAppClientDeps> = {}
  /** Replaces handlers of the next `connect`. */
  handlers: Partial<ClientEvents> = {}
  readonly qrs: string[] = []
  readonly log: string[] = []
  readonly closes: DisconnectCause[] = []
  readonly inbound: InboundMessage[] = []
  readonly receipts: ReceiptUpdate[] = []
  readonly lateAcks: string[] = []
  readonly restrictions: (number | null)[] = []
  readonly identities: { phoneNumber: string; lid: string | null; pushName?: string | null }[] = []
  readonly sent = new Map<string, OutgoingMessage>()
  readonly retriesAnswered: string[] = []
  trafficCount = 0

  constructor(url: string) {
    this.url = url
  }

  /** What is given stays for the connects that follow. */
  connect(overrides: Partial<WhatsAppClientDeps> = this.overrides): WhatsAppClient {
    this.overrides = overrides
    const events: ClientEvents = {
      qr: ({ qr }) => void this.qrs.push(qr),
      paired: (identity) => this.#note('paired', () => this.identities.push(identity)),
      open: (identity) => this.#note('open', () => this.identities.push(identity)),
      closed: (cause) => {
        this.log.push(`closed ${cause.reason}`)
        this.closes.push(cause)
        if (cause.action === 'restart') this.connect()
      },
      inbound: (message) => this.#note('inbound', () => this.inbound.push(message)),
      receipt: (update) => this.#note(update.status, () => this.receipts.push(update)),
      lateAck: ({ whatsappId }) => this.#note('lateAck', () => this.lateAcks.push(whatsappId)),
      traffic: () => void (this.trafficCount += 1),
      restricted: ({ untilMs }) => this.#note('restricted', () => this.restrictions.push(untilMs)),
      ...this.handlers,
    }
    this.qrs.length = 0
    this.client = createWhatsAppClient(
      {
        credentials: this.credentials,
        caches: this.caches,
        config: { whatsappUrl: this.url, whatsappVersion: undefined, markOnline: false },
        mayWrite: () => this.mayWrite,
        openProxy: () => null,
        getMessage: (whatsappId) => {
          this.retriesAnswered.push(whatsappId)
          return Promise.resolve(this.sent.get(whatsappId) ?? null)
        },
        hasInbound: (whatsappId) => Promise.resolve(this.inbound.some((message) => message.whatsappId === whatsappId)),
        log: pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' }),
        ...this.overrides,
      },
      events,
    )
    return this.client
  }

  get open(): WhatsAppClient {
    if (!this.client?.isOpen) throw new Error(`not open: ${this.log.join(', ')}`)
    return this.client
  }

  async waitOpen(): Promise<WhatsAppClient> {
    await waitFor('open', () => this.client?.isOpen && this.log.at(-1) !== 'paired' && this.log.includes('open'), 20_000)
    return this.open
  }

  /** A new socket, logged in; the old one is closed first when there is one. */
  async reconnect(): Promise<WhatsAppClient> {
    await this.close()
    this.log.length = 0
    this.connect()
    return this.waitOpen()
  }

  async waitClosed(count = 1): Promise<DisconnectCause> {
    await waitFor(`${count} closes`, () => this.closes.length >= count, 20_000)
    return this.closes[count - 1] as DisconnectCause
  }

  /** Connects, lets the phone scan, and waits for the login that follows. */
  async pair(sandbox: Pick<TestSandbox, 'client'>, phoneNumber: string): Promise<WhatsAppClient> {
    this.connect()
    const qr = await waitFor('a QR', () => this.qrs.at(-1), 20_000)
    await sandbox.client.scan(phoneNumber, qr)
    return this.waitOpen()
  }

  message(to: string, body: string, overrides: Partial<OutgoingMessage> = {}): OutgoingMessage {
    lastId += 1
    const whatsappId = `3EB0${(process.pid * 1_000_000 + lastId).toString(16).toUpperCase().padStart(18, '0')}`
    const recipient = to.includes('@') ? to : `${to}@s.whatsapp.net`
    const message: OutgoingMessage = {
      whatsappId,
      recipient,
      type: 'text',
      content: { text: { body } },
      replyTo: null,
      mentions: [],
      ...overrides,
    }
    this.sent.set(message.whatsappId, message)
    return message
  }

  send(to: string, body: string): Promise<SendOutcome> {
    return this.open.send(this.message(to, body), ackTimeoutMs)
  }

  async close(): Promise<void> {
    await this.client?.close()
  }

  #note(word: string, add: () => unknown): Promise<void> {
    this.log.push(word)
    add()
    return Promise.resolve()
  }
}
