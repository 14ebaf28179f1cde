// The port to WhatsApp: one client is one socket's life, from connecting to closed, never used again afterwards.
import type { ErrorCode } from '../platform/errors.ts'
import type { DisconnectCause } from './disconnect-reason.ts'

/** Credentials of one session, fenced by the epoch the runner holds; opened and sealed by the vault. */
export interface SessionCredentials {
  /** Null when there are none, or only a half-made pairing. */
  readCreds(): Promise<Uint8Array | null>
  readKeys(type: string, ids: string[]): Promise<Map<string, Uint8Array>>
  /** One transaction. @throws AppError `stale_epoch` */
  write(entries: { type: string; id: string; value: Uint8Array | null }[]): Promise<void>
  erase(): Promise<void>
}

export interface LinkPreview {
  /** The address as the text spells it. */
  matchedText: string
  canonicalUrl: string
  title: string
  description: string | null
}

export interface OutgoingMessage {
  /** The WhatsApp id, the same on every try. */
  whatsappId: string
  /** Canonical JID. */
  recipient: string
  type: string
  content: Record<string, unknown>
  replyTo: { whatsappId: string; text: string; fromMe: boolean; participant: string | null } | null
  mentions: string[]
  /** Of the first address in the text; absent: none. */
  linkPreview?: LinkPreview
  /** How long the recipient sees "typing…" before it; absent: not at all. */
  typingMs?: number
}

export type SendOutcome =
  | { kind: 'acked'; at: number; lid: string | null }
  /** WhatsApp's server answered with an error number (463, 479, …), or the recipient is not on WhatsApp. Nothing more will come. */
  | { kind: 'rejected'; code: ErrorCode; detail: string; ackError: number | null; untilMs: number | null }
  /** Bytes may have left, no ack came in time or the socket closed: send again with the same id on a new socket. */
  | { kind: 'unknown'; reason: string }

export interface InboundMessage {
  whatsappId: string
  /** The chat, canonical JID. */
  chat: string
  participant: string | null
  fromPhoneNumber: string | null
  /** `<digits>@lid` */
  fromLid: string | null
  /** `<digits>@g.us` */
  groupId: string | null
  pushName: string | null
  /** `text` or WhatsApp's own kind. */
  type: string
  content: Record<string, unknown>
  at: number
}

export interface ReceiptUpdate {
  whatsappIds: string[]
  status: 'delivered' | 'read' | 'played'
  at: number
}

/**
 * What one socket reports. Handlers must not throw; those that return promises are awaited in order. One that rejects says that
 * it could not be stored: the socket is closed (`not_stored`), and WhatsApp hands messages and receipts over again.
 */
export interface ClientEvents {
  /** A QR text to show until `expiresAt`. */
  qr(update: { qr: string; expiresAt: number }): void
  /** Paired: credentials are written. The socket closes by itself with `restart_required`. */
  paired(identity: { phoneNumber: string; lid: string | null }): Promise<void>
  open(identity: { phoneNumber: string; lid: string | null; pushName: string | null }): Promise<void>
  /** Exactly once, whoever closed it. */
  closed(cause: DisconnectCause): void
  /** WhatsApp is told that it arrived when this resolves. May come before `open`, and again after a crash. */
  inbound(message: InboundMessage): Promise<void>
  receipt(update: ReceiptUpdate): Promise<void>
  /** An ack that came after its send was given up. */
  lateAck(update: { whatsappId: string; at: number }): Promise<void>
  /** Any frame from the server: for the watchdog and `lastEventAt`. */
  traffic(): void
  /** WhatsApp said that new contacts may not be written to (463). */
  restricted(update: { untilMs: number | null }): Promise<void>
}

/** `connect` has been called by the factory; `close` ends it for good. */
export interface WhatsAppClient {
  /**
   * Waits for the server's ack, bounded by `ackTimeoutMs` and what the typing takes before it, which `hurry` cuts short. Never rejects for
   * anything WhatsApp does. One at a time per recipient.
   */
  send(message: OutgoingMessage, ackTimeoutMs: number, hurry?: AbortSignal): Promise<SendOutcome>
  /** Only after the first QR. → `ABCDEFGH`. @throws AppError `session_not_connected`, `timed_out` */
  requestPairingCode(phoneNumber: string): Promise<string>
  /** @throws AppError `socket_closed`, `timed_out` */
  checkContacts(phoneNumbers: string[]): Promise<{ phoneNumber: string; exists: boolean; lid: string | null }[]>
  /** A ping with a deadline: true when the server answered. */
  ping(timeoutMs: number): Promise<boolean>
  /** Tells WhatsApp that this device leaves; bounded. Credentials are the caller's to erase. */
  logout(timeoutMs: number): Promise<void>
  /** Sends nothing more, flushes keys, closes. Idempotent; resolves when the socket is gone. */
  close(): Promise<void>
  readonly isOpen: boolean
  /** Milliseconds on the monotonic clock of the last frame from the server. */
  readonly lastTrafficAt: number
  /** Milliseconds on the monotonic clock of the oldest send that the server has not acked, even if a receipt has proved it; null when none. */
  readonly unackedSince: number | null
}
