// An unmodified Baileys client of the sandbox, with credentials in memory that outlive its sockets.
import {
  initAuthCreds,
  makeWASocket,
  type AuthenticationCreds,
  type BinaryNode,
  type SignalDataSet,
  type SignalKeyStore,
  type WAMessage,
  type WAMessageKey,
  type WASocket,
  type proto,
} from '@whiskeysockets/baileys'
import { pino } from 'pino'
import { quietConsole } from '../../src/platform/quiet-console.ts'
import { waitFor } from './wait.ts'

type KeyTable = Record<string, Map<string, unknown>>

export interface BaileysClient {
  readonly creds: AuthenticationCreds
  /** By type and id; tests may spoil it. */
  readonly keys: KeyTable
  /** The newest socket. */
  readonly sock: WASocket
  /** The newest QR text, while there is one. */
  readonly qr: string | undefined
  isOpen: boolean
  readonly received: WAMessage[]
  /** Stanzas that came in, by tag: ack, receipt, message, notification. */
  readonly stanzas: BinaryNode[]
  /** Status codes with which sockets closed. */
  readonly closes: number[]
  /** Texts sent, so that retry receipts can be answered. */
  readonly sent: Map<string, proto.IMessage>
  /** Opens a new socket with the same credentials. */
  connect: () => void
  /** Sends a text and waits for the server's ack. */
  sendText: (to: string, text: string, id?: string) => Promise<{ id: string; error?: string }>
  texts: () => string[]
  close: () => Promise<void>
}

/** Reconnects by itself after the 515 that follows pairing, and never otherwise. */
export function startBaileys(
  url: string,
  overrides: Partial<Parameters<typeof makeWASocket>[0]> = {},
  /** An earlier client whose credentials are used on. */
  earlier?: Pick<BaileysClient, 'creds' | 'keys'>,
): BaileysClient {
  quietConsole()
  const creds = earlier?.creds ?? initAuthCreds()
  const keys = earlier?.keys ?? {}
  const client = {
    creds,
    keys,
    sock: undefined as unknown as WASocket,
    qr: undefined as string | undefined,
    isOpen: false,
    received: [] as WAMessage[],
    stanzas: [] as BinaryNode[],
    closes: [] as number[],
    sent: new Map<string, proto.IMessage>(),
    connect,
    sendText,
    texts: () => client.received.map(({ message }) => message?.conversation ?? message?.extendedTextMessage?.text ?? ''),
    close: async () => {
      client.isOpen = false
      await client.sock.end(undefined)
    },
  }

  function connect(): void {
    const sock = makeWASocket({
      waWebSocketUrl: url,
      auth: { creds, keys: keyStore(keys) },
      logger: pino({ level: process.env['TEST_BAILEYS_LEVEL'] ?? 'silent' }),
      emitOwnEvents: false,
      markOnlineOnConnect: false,
      keepAliveIntervalMs: 15_000,
      getMessage: async (key: WAMessageKey) => client.sent.get(key.id ?? ''),
      ...overrides,
    })
    client.sock = sock
    sock.ev.on('creds.update', (update) => void Object.assign(creds, update))
    sock.ev.on('messages.upsert', ({ messages }) => void client.received.push(...messages.filter(isReadable)))
    for (const tag of ['ack', 'receipt', 'message', 'notification']) {
      sock.ws.on(`CB:${tag}`, (node: BinaryNode) => void client.stanzas.push(node))
    }
    sock.ev.on('connection.update', (update) => {
      if (client.sock !== sock) return
      if (update.qr) client.qr = update.qr
      if (update.connection === 'open') {
        client.isOpen = true
        client.qr = undefined
      }
      if (update.connection !== 'close') return
      client.isOpen = false
      const error = update.lastDisconnect?.error as { output?: { statusCode?: number } } | undefined
      const code = error?.output?.statusCode ?? 0
      client.closes.push(code)
      if (code === 515) connect()
    })
  }

  async function sendText(to: string, text: string, id?: string): Promise<{ id: string; error?: string }> {
    const message = await client.sock.sendMessage(to, { text, linkPreview: null }, id === undefined ? {} : { messageId: id })
    const sentId = message?.key.id
    if (!sentId || !message?.message) throw new Error('nothing was sent')
    client.sent.set(sentId, message.message)
    const isAck = ({ tag, attrs }: BinaryNode) => tag === 'ack' && attrs['class'] === 'message' && attrs['id'] === sentId
    const ack = await waitFor('the ack', () => client.stanzas.find(isAck))
    const error = ack.attrs['error']
    return { id: sentId, ...(error === undefined ? {} : { error }) }
  }

  connect()
  return client
}

function isReadable({ message }: WAMessage): boolean {
  return Boolean(message && !message.protocolMessage)
}

function keyStore(table: KeyTable): SignalKeyStore {
  return {
    get: async (type, ids) => {
      const entries = ids.flatMap((id) => {
        const value = table[type]?.get(id)
        return value === undefined ? [] : [[id, value]]
      })
      return Object.fromEntries(entries)
    },
    set: async (data: SignalDataSet) => {
      for (const [type, values] of Object.entries(data)) {
        const map = (table[type] ??= new Map())
        for (const [id, value] of Object.entries(values ?? {})) {
          if (value === null) map.delete(id)
          else map.set(id, structuredClone(value))
        }
      }
    },
  }
}
