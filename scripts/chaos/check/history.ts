// What one run left behind, as plain data: what was asked for, what each side saw, and when. The checker reads nothing else.

/** A message that the API answered with 202. Times are milliseconds since 1970 on this machine. */
export interface AcceptedMessage {
  messageId: string
  whatsappId: string
  sessionId: string
  lane: string
  recipient: string
  /** When its first request began: what was accepted before then goes first. */
  requestedAt: number
  acceptedAt: number
  /** To a phone that never wrote: WhatsApp may refuse it, and it may be held back. */
  isStranger: boolean
  /** To the session's own number: nobody sends a receipt. */
  isToSelf: boolean
}

/** A message as a person's phone shows it, in the order in which that phone lists them. */
export interface ShownMessage {
  phone: string
  whatsappId: string
}

/** A frame as WhatsApp's server took it, in its order. */
export interface Frame {
  at: number
  sessionId: string
  whatsappId: string
  /** The socket it came through. */
  socket: number
  /** The error number it was refused with. */
  refusedWith: number | null
  isAcked: boolean
}

export interface StoredMessage {
  messageId: string
  sessionId: string
  direction: 'inbound' | 'outbound'
  whatsappId: string
  status: string
  errorCode: string | null
}

/** Written by a person to a session; the sandbox took it. */
export interface InboundMessage {
  whatsappId: string
  sessionId: string
  phone: string
  /** When its person wrote it: between these two. */
  from: number
  until: number
}

/** An event as the receiver took it: signature verified and answered with 2xx. In order of arrival, repeated deliveries included. */
export interface ReceivedEvent {
  /** The header `webhook-id`. */
  webhookId: string
  eventId: string
  sessionId: string
  sequence: number
  type: string
  messageId: string | null
  status: string | null
}

/** A connection to WhatsApp: under which epoch it was opened, and when the worker last wrote a byte to it. */
export interface Connection {
  sessionId: string
  epoch: number
  openedAt: number
  lastByteAt: number
  /** How much later the link took it up than the worker had it: on a busy machine its bytes may lie there for as long. */
  lagMs: number
}

/** A worker said that it holds a session from now on. */
export interface Claim {
  sessionId: string
  epoch: number
  at: number
  workerPid: number
}

export interface History {
  accepted: AcceptedMessage[]
  /** Requests that were answered with something no client can repeat, and those that were never answered. */
  refused: { sessionId: string; text: string }[]
  shown: ShownMessage[]
  frames: Frame[]
  stored: StoredMessage[]
  inbound: InboundMessage[]
  events: ReceivedEvent[]
  /** The last event's sequence of each session, as the store has it. */
  lastSequences: ReadonlyMap<string, number>
  connections: Connection[]
  claims: Claim[]
  /** Sessions that each living worker holds at the end. */
  shares: { workerPid: number; held: number }[]
  /** Sessions that WhatsApp ended on purpose, by kind, and what went otherwise than it should. */
  endings: { sessionId: string; kind: string; problem: string | null }[]
  /** While a session had no device that could have received: its device was removed, and it was not yet paired again. */
  inboundGaps: { sessionId: string; from: number; until: number }[]
  /** Inbound messages, and messages whose receipts, still waited for a device when it was removed. */
  lostWithDevice: { sessionId: string; whatsappId: string }[]
  /** How often each fault hit something, and each path was taken. */
  counts: Readonly<Record<string, number>>
  /** Those of `counts` that this run had to see. */
  required: readonly string[]
  /** Sessions that were not connected at the end, and why. */
  unconnected: { sessionId: string; text: string }[]
  /** Jobs, locks, commands, processes that should be gone: one sentence each. */
  leftovers: string[]
}

export const rules = [
  'refused',
  'lost',
  'doubled',
  'reordered',
  'strange',
  'status',
  'failed',
  'inbound_lost',
  'inbound_doubled',
  'event_lost',
  'event_doubled',
  'stale_frame',
  'two_holders',
  'uneven',
  'unconnected',
  'left_over',
  'ended_otherwise',
  'not_exercised',
] as const
export type Rule = (typeof rules)[number]

export interface Violation {
  rule: Rule
  text: string
  sessionId?: string
  messageId?: string
  whatsappId?: string
}
