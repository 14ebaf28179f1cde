// A typed client of the sandbox's control API, for demo, benchmarks and tests.

export interface SandboxPhone {
  phoneNumber: string
  lid: string
  name: string
  autoRead: boolean
  autoReply: string | null
  linkedDevices: string[]
  unread: number
  /** Messages that arrived, could not be decrypted and were asked for again. */
  waiting: number
  /** Who was seen typing, oldest first; `endedAt` null: now. */
  typing: { from: string; at: string; endedAt: string | null }[]
  counts: { frames: number; distinctIds: number; duplicates: number; orderViolations: number; decryptFailures: number }
}

export interface SandboxMessage {
  id: string
  /** The other person's phone number, or a group's JID. */
  chat: string
  from: string
  fromMe: boolean
  fromJid: string
  text: string
  type: string
  at: string
  duplicatesSeen: number
  order: number
  read: boolean
  status?: 'pending' | 'sent' | 'delivered' | 'read' | 'failed'
  errorCode?: number
  replyTo?: string
  linkPreview?: { url: string; title: string; description: string }
  edited?: boolean
  deleted?: boolean
  reactions?: Record<string, string>
}

export interface SandboxStats {
  socketsOpen: number
  logins: number
  frames: number
  acks: number
  duplicates: number
  orderViolations: number
  decryptFailures: number
}

/** A message frame as the server took it from a linked device. */
export interface SandboxFrame {
  order: number
  /** Milliseconds since 1970. */
  at: number
  phoneNumber: string
  device: number
  /** The socket it came through, numbered in the order in which they were opened. */
  socket: number
  id: string
  to: string
  /** `unacked`: handed on, but the ack was dropped; a number: refused with this error. */
  outcome: 'taken' | 'unacked' | number
}

export interface NewPhone {
  phoneNumber: string
  name?: string
  autoRead?: boolean
  /** `{text}` stands for the text that is answered; `true` for a standard answer. */
  autoReply?: string | boolean
}

export type NewMessage = { to: string; addressing?: 'pn' | 'lid'; id?: string; replyTo?: string } & (
  | { text: string }
  | { location: { latitude: number; longitude: number; name?: string } }
  | { reaction: { id: string; emoji: string } }
  | { edit: { id: string; text: string } }
  | { delete: { id: string } }
)

export type SandboxFault = { sessions?: 'all' | string[] } & (
  | { kind: 'close' | 'reset' | 'stall' | 'conflict' | 'refuse_connections' }
  | { kind: 'latency'; ms: number; jitterMs?: number }
  | { kind: 'drop_acks' | 'undecryptable'; count?: number }
  | { kind: 'ack_error'; code: number; count?: number }
  | { kind: 'stream_error'; code: number }
  | { kind: 'login_failure'; code: number; count?: number }
  | { kind: 'restrict'; until: string | number }
)

/** The sandbox said no; `code` and the message are its problem's. */
export class SandboxProblem extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, problem: { code?: string; detail?: string }) {
    super(problem.detail ?? `The sandbox answered ${status}.`)
    this.name = 'SandboxProblem'
    this.status = status
    this.code = problem.code ?? 'unknown'
  }
}

const requestTimeoutMs = 45_000

export class SandboxClient {
  readonly #base: string

  /** `http://127.0.0.1:<port>` */
  constructor(controlUrl: string) {
    this.#base = controlUrl.replace(/\/$/, '')
  }

  addPhone = (phone: NewPhone): Promise<SandboxPhone> => this.#call('POST', '/phones', phone)

  phones = (): Promise<SandboxPhone[]> => this.#call('GET', '/phones')

  phone = (phoneNumber: string): Promise<SandboxPhone> => this.#call('GET', path(phoneNumber))

  changePhone = (phoneNumber: string, change: Partial<Omit<NewPhone, 'phoneNumber'>>): Promise<SandboxPhone> =>
    this.#call('PATCH', path(phoneNumber), change)

  scan = (phoneNumber: string, qr: string): Promise<{ deviceJid: string }> =>
    this.#call('POST', path(phoneNumber, 'scan'), { qr })

  enterCode = (phoneNumber: string, code: string): Promise<{ deviceJid: string }> =>
    this.#call('POST', path(phoneNumber, 'enter-code'), { code })

  /** Oldest first; at most the last 5,000 that the phone keeps. */
  messages = (phoneNumber: string, filter: { chat?: string; after?: number; limit?: number } = {}): Promise<SandboxMessage[]> => {
    const query = new URLSearchParams(Object.entries(filter).map(([name, value]) => [name, String(value)])).toString()
    return this.#call('GET', `${path(phoneNumber, 'messages')}?${query}`)
  }

  sendFrom = (phoneNumber: string, message: NewMessage): Promise<SandboxMessage> =>
    this.#call('POST', path(phoneNumber, 'messages'), message)

  read = (phoneNumber: string, id: string): Promise<{ read: string[] }> => this.#call('POST', path(phoneNumber, 'read'), { id })

  /** Without a device all are unlinked. `lost`: ids of messages and receipts that waited for them. */
  unlink = (phoneNumber: string, deviceJid?: string): Promise<{ unlinked: string[]; lost: string[] }> =>
    this.#call('POST', path(phoneNumber, 'unlink'), deviceJid === undefined ? {} : { deviceJid })

  /** Answers how many open sockets the fault concerns. */
  fault = (fault: SandboxFault): Promise<{ sockets: number }> => this.#call('POST', '/faults', fault)

  clearFaults = (): Promise<void> => this.#call('DELETE', '/faults')

  stats = (): Promise<SandboxStats> => this.#call('GET', '/stats')

  /** Oldest first, at most 5,000; the server keeps the last 100,000. */
  frames = (after = 0): Promise<SandboxFrame[]> => this.#call('GET', `/frames?after=${after}`)

  /** Place of the last frame so far; 0 when there is none. */
  lastFrame = async (): Promise<number> => (await this.#call<SandboxFrame[]>('GET', '/frames?last=1')).at(-1)?.order ?? 0

  noiseRoot = (): Promise<{ publicKey: string }> => this.#call('GET', '/noise-root')

  /** Everything is gone: phones, accounts, linked devices, faults, counters. */
  reset = (): Promise<void> => this.#call('POST', '/reset')

  /** @throws SandboxProblem */
  async #call<T>(method: string, target: string, body?: unknown): Promise<T> {
    const response = await fetch(this.#base + target, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      signal: AbortSignal.timeout(requestTimeoutMs),
    })
    const text = await response.text()
    const value: unknown = text === '' ? undefined : JSON.parse(text)
    if (!response.ok) throw new SandboxProblem(response.status, value ?? {})
    return value as T
  }
}

function path(phoneNumber: string, ...rest: string[]): string {
  return ['/phones', encodeURIComponent(phoneNumber), ...rest].join('/')
}
