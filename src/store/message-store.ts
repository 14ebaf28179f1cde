// Messages as the store keeps them: the authority on order and on what became of each.
import type { Describe, Outcome, PublishedEvent } from './event-store.ts'

export const messageStatuses = [
  'scheduled',
  'queued',
  'sending',
  'sent',
  'delivered',
  'read',
  'played',
  'failed',
  'expired',
  'canceled',
  'received',
] as const
export type MessageStatus = (typeof messageStatuses)[number]
export const lanes = ['high', 'normal', 'bulk'] as const
/** The message's `priority`; each is a FIFO of its own. */
export type Lane = (typeof lanes)[number]
export const holders = ['session', 'recipient', 'fleet', 'new_contacts', 'restriction'] as const
export type HeldBy = (typeof holders)[number]

export interface MessageAddress {
  /** As the user wrote it. */
  input: string
  /** Digits only. */
  phoneNumber: string | null
  lid: string | null
  groupId: string | null
}

export interface MessageRecord {
  id: string
  sessionId: string
  direction: 'inbound' | 'outbound'
  /** `to` of an outbound, `from` of an inbound message. */
  address: MessageAddress
  /** The chat's canonical JID: what per-recipient order and pacing go by. */
  recipient: string
  /** Who wrote it in a group; null elsewhere. */
  participant: string | null
  type: string
  /** `{ text: { body, linkPreview } }` and so on, as the API shows it. */
  content: Record<string, unknown>
  status: MessageStatus
  /** Chosen when accepted, never changed. */
  whatsappId: string
  priority: Lane
  /** From the session's counter, when it becomes `queued`; null before and on inbound messages. Internal. */
  sequence: number | null
  sendAt: number | null
  expiresAt: number | null
  heldBy: HeldBy | null
  heldUntil: number | null
  error: { code: string; detail: string } | null
  clientReference: string | null
  replyTo: string | null
  mentions: string[]
  /** Sockets it was tried on. */
  attemptCount: number
  /** When each status was reached, milliseconds since the epoch. */
  reachedAt: Partial<Record<MessageStatus, number>>
  createdAt: number
  updatedAt: number
}

export interface Idempotency {
  key: string
  /** SHA-256 of the canonical request body. */
  bodyHash: string
  /** After this time the key counts as absent. */
  expiresAt: number
}

export type AcceptOutcome =
  /** `position`: how many unfinished ones stand before it; null when it is scheduled. */
  | { outcome: 'accepted'; message: MessageRecord; position: number | null; published: PublishedEvent[] }
  | { outcome: 'replayed'; message: MessageRecord }
  | { outcome: 'key_reused' }
  | { outcome: 'queue_full'; depth: number }
  | { outcome: 'no_session' }

export type TakeOutcome =
  /** Now `sending`. `resend`: it was `sending` before, bytes may have left already. */
  | { outcome: 'taken'; message: MessageRecord; resend: boolean; published: PublishedEvent[] }
  /** The store holds an older unfinished message of that lane that is not held back (or, held or not, of that recipient). */
  | { outcome: 'older_first' }
  | { outcome: 'expired'; message: MessageRecord; published: PublishedEvent[] }
  /** Past `sending`, canceled, or gone: drop the job. */
  | { outcome: 'ended'; status: MessageStatus | null }

export interface UnfinishedMessage {
  id: string
  sequence: number
  priority: Lane
  status: 'queued' | 'sending'
  recipient: string
  heldUntil: number | null
}

/** What we and somebody have written to each other; the contact is new while both are null. */
export interface ContactFacts {
  firstOutboundAt: number | null
  firstInboundAt: number | null
  lastInboundAt: number | null
}

/** What decides whether a message may leave now, besides its session's pace. */
export interface PacingFacts {
  status: MessageStatus
  recipient: string
  priority: Lane
  expiresAt: number | null
  heldUntil: number | null
  /** The last one before it of its lane and recipient that was held back and is queued still. */
  heldBefore: { heldBy: HeldBy; heldUntil: number } | null
  /** Null in groups, and when nothing was ever written. */
  contact: ContactFacts | null
}

export interface NewContacts {
  /** Strangers written to since the time asked for, before they wrote to us. */
  count: number
  /** When the session wrote to its first one. */
  firstAt: number | null
  /** Messages held back by `new_contacts` until a later time, by that time. */
  held: { heldUntil: number; count: number }[]
}

/** An unfinished message as forecasts see it. */
export interface QueuedMessage extends UnfinishedMessage {
  heldBy: HeldBy | null
  /** Neither of us has written to the other. */
  isNewContact: boolean
  /** They have never written to us; false in groups. */
  isUnheard: boolean
}

export interface StatusChange {
  to: MessageStatus
  at: number
  error?: { code: string; detail: string }
  /** Learned while sending. */
  address?: Partial<MessageAddress>
}

export type MessagePlace = Pick<MessageRecord, 'id' | 'sessionId'>

export interface MessageStore {
  /**
   * One atomic conditional write: idempotency key looked up (an expired one is cleared), depth checked, the session's counter raised
   * (unless `scheduled`), the message and its events stored. `message.sequence` is ignored. A LID whose number is known becomes a message
   * to that number's recipient.
   */
  accept(
    input: { message: MessageRecord; idempotency: Idempotency | null; maxQueueDepth: number; now: number },
    describe: Describe<MessageRecord>,
  ): Promise<AcceptOutcome>
  /**
   * Compare-and-set `queued` → `sending` (or `sending` again after a lost socket; raises attemptCount either way). Without `now` the time is
   * read when the store comes to it: it may have waited for others to write. @throws AppError `stale_epoch`
   */
  take(
    input: { sessionId: string; id: string; epoch: number; now?: number },
    describe: Describe<MessageRecord>,
  ): Promise<TakeOutcome>
  /** Moves the status forward, never back; null when that would be no step forward. `failed` with `outcome_unknown` still moves to sent, delivered, read. */
  advance(
    sessionId: string,
    id: string,
    change: StatusChange,
    describe: Describe<MessageRecord>,
  ): Promise<Outcome<MessageRecord> | null>
  /** The same for outbound messages named by receipts. Unknown ids are skipped. */
  advanceByWhatsappId(
    sessionId: string,
    whatsappIds: string[],
    change: StatusChange,
    describe: Describe<MessageRecord>,
  ): Promise<Outcome<MessageRecord>[]>
  /** Keeps a `queued` message back until a time, fenced; false when it is no longer queued. */
  hold(input: { sessionId: string; id: string; epoch: number; heldBy: HeldBy; heldUntil: number }): Promise<boolean>
  /** Ends all holds of the session now, fenced: its settings changed, and each is looked at anew. */
  releaseHeld(input: { sessionId: string; epoch: number; at: number }): Promise<number>
  /** Null when there is no such message. */
  pacingFacts(sessionId: string, id: string): Promise<PacingFacts | null>
  /** Queued ones with a hold that ends after this time, by the end of their hold. */
  listHeld(sessionId: string, after: number, limit: number): Promise<UnfinishedMessage[]>
  newContacts(sessionId: string, since: number, now: number): Promise<NewContacts>
  /** They were another number's; in steps, each fenced, so that it may be repeated. @throws AppError `stale_epoch` */
  forgetContacts(sessionId: string, epoch: number): Promise<void>
  /** Queued and sending ones, lane after lane, each by sequence. */
  listQueue(sessionId: string, limit: number): Promise<QueuedMessage[]>
  /** Compare-and-set from `queued` or `scheduled`. 'too_late' from `sending` on. */
  cancel(
    sessionId: string,
    id: string,
    at: number,
    describe: Describe<MessageRecord>,
  ): Promise<Outcome<MessageRecord> | 'too_late' | null>
  /** Of all sessions: scheduled ones whose time has come and that have not expired, in order of sendAt. */
  listDue(now: number, limit: number): Promise<MessagePlace[]>
  /** Of all sessions: queued and scheduled ones past expiresAt, the first to expire first. */
  listExpired(now: number, limit: number): Promise<MessagePlace[]>
  /** In one transaction: those of them that are still scheduled become `queued`, with sequences in the order given. */
  promote(
    sessionId: string,
    ids: readonly string[],
    at: number,
    describe: Describe<MessageRecord>,
  ): Promise<Outcome<MessageRecord>[]>
  /** In one transaction: those of them that are still queued or scheduled become `expired`. */
  expire(
    sessionId: string,
    ids: readonly string[],
    at: number,
    describe: Describe<MessageRecord>,
  ): Promise<Outcome<MessageRecord>[]>
  /**
   * One page of those that have not left ends as failed, fenced: scheduled, queued and sending ones. `isEmpty` when there was none; until
   * then ask again, however few of a page were left to fail. @throws AppError `stale_epoch`
   */
  failUnfinished(
    input: { sessionId: string; epoch: number; error: { code: string; detail: string }; at: number; limit: number },
    describe: Describe<MessageRecord>,
  ): Promise<{ failed: Outcome<MessageRecord>[]; isEmpty: boolean }>
  /** Queued and sending rows by sequence. */
  listUnfinished(sessionId: string, query: { priority?: Lane; limit: number }): Promise<UnfinishedMessage[]>
  /**
   * Sessions with queued or sending messages unchanged since `before`, those held back beyond it excepted: candidates for re-queueing.
   * In id order, for paging by `afterSessionId`.
   */
  listSessionsWithStale(before: number, limit: number, afterSessionId?: string): Promise<string[]>
  /** Sessions with queued or sending messages, those with the most of them first. */
  listDeepestQueues(limit: number): Promise<string[]>
  /**
   * Stores an inbound message once per (session, recipient, participant, whatsappId); null when it is there already. Whoever wrote is no
   * stranger any more: what was held back for that is due.
   */
  storeInbound(message: MessageRecord, describe: Describe<MessageRecord>): Promise<Outcome<MessageRecord> | null>
  get(sessionId: string, id: string): Promise<MessageRecord | null>
  findByWhatsappId(sessionId: string, whatsappId: string): Promise<MessageRecord | null>
  /** Newest first. */
  list(query: {
    sessionId?: string
    status?: MessageStatus
    recipient?: string
    since?: number
    direction?: 'inbound' | 'outbound'
    limit: number
    cursor?: string
  }): Promise<{ data: MessageRecord[]; nextCursor: string | null }>
  /** Those of them that are this session's, in no order. */
  listById(sessionId: string, ids: readonly string[]): Promise<MessageRecord[]>
  /** Scheduled ones, the soonest first. */
  listScheduled(sessionId: string, limit: number): Promise<MessageRecord[]>
  /** Depth = queued + sending; oldestQueuedAt in milliseconds since the epoch. */
  queueState(sessionId: string): Promise<{ depth: number; scheduled: number; oldestQueuedAt: number | null }>
  /** How many unfinished messages leave before this one, by lane and sequence; null when it is not queued. */
  position(sessionId: string, id: string): Promise<number | null>
}
