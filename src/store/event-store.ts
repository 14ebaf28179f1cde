// What happened, and whom it must be told: events, endpoints and deliveries as the store keeps them.

export const eventTypes = [
  'session.status',
  'session.qr',
  'session.pairing_code',
  'session.health',
  'session.restricted',
  'message.queued',
  'message.sending',
  'message.sent',
  'message.delivered',
  'message.read',
  'message.played',
  'message.failed',
  'message.expired',
  'message.canceled',
  'message.received',
  'message.reaction',
  'message.edited',
  'message.deleted',
  'webhook.disabled',
] as const
export type EventType = (typeof eventTypes)[number]
/** What people do towards a session. */
export const inboundEventTypes = ['message.received', 'message.reaction', 'message.edited', 'message.deleted'] as const

/** An event before the store gives it its id, sequence and time. `data` is what the API shows: never a secret. */
export interface EventDraft {
  type: EventType
  data: Record<string, unknown>
}

export interface EventRecord extends EventDraft {
  id: string
  sessionId: string
  /** Rises by one per session, without gaps. */
  sequence: number
  /** When it was written, milliseconds since the epoch. */
  at: number
  /**
   * Orders all events of the store, in the order readers see them; opaque to users. Certain on what `list` returns; a published or
   * single event may have '' instead, where its place is only given after the commit (MongoDB).
   */
  cursor: string
}

/** An event written together with the change it tells of, and the deliveries made for it in the same transaction. */
export interface PublishedEvent {
  event: EventRecord
  deliveries: { id: string; endpointId: string }[]
}

/** A change and the events written with it in one transaction. Hand `published` to `announceEvents` after the commit. */
export interface Outcome<T> {
  record: T
  published: PublishedEvent[]
}

/** Called inside the transaction with the record as it will stand: which events does this change make? Must be pure. */
export type Describe<T> = (after: T) => EventDraft[]

export interface EventStore {
  /** Events that go with no other change. Unknown or deleted session → nothing. */
  append(sessionId: string, drafts: EventDraft[]): Promise<PublishedEvent[]>
  get(id: string): Promise<EventRecord | null>
  /** In order. `after` is a cursor, or with a session a sequence. */
  list(query: {
    sessionId?: string
    afterCursor?: string
    afterSequence?: number
    types?: EventType[]
    limit: number
  }): Promise<EventRecord[]>
  /**
   * A page of the log for a reader that comes back. Places are cursors, or with a session its sequences in decimal digits; without `after`
   * the page begins with the oldest event that is kept. @throws AppError `invalid_request` for a place that is none, or that no event has
   * had yet.
   */
  read(query: { sessionId?: string; after?: string; types?: readonly EventType[]; limit: number }): Promise<LogPage>
  /** The place of the newest event: whoever reads on from there sees what happens from now on. */
  newestPlace(sessionId?: string): Promise<string>
  /** A place before all events of that time and later, as near to it as the order of the log allows. */
  placeBefore(at: number, sessionId?: string): Promise<string>
}

export interface LogPage {
  events: EventRecord[]
  /** The place to read on from, also when nothing matched. */
  next: string
  /** There are more already. */
  hasMore: boolean
  /** When something after `after` was swept or lost with a restore: the earliest place from which nothing is missing. Null when not. */
  oldestPlace: string | null
}

export interface EndpointRecord {
  id: string
  /** null: fleet-wide, made by an admin. */
  sessionId: string | null
  url: string
  /** `message.*`, `session.status`, `*`. `*` and `session.*` do not include session.qr and session.pairing_code: these must be named. */
  events: string[]
  /** Sealed JSON of extra headers; null when none. */
  sealedHeaders: Uint8Array | null
  /** Sealed `whsec_…`. */
  sealedSecret: Uint8Array
  sealedPreviousSecret: Uint8Array | null
  previousSecretUntil: number | null
  enabled: boolean
  disabledReason: string | null
  /** First failure of an unbroken row of failures; null after a success. */
  failingSince: number | null
  /** The last failure, an hour old at most. */
  failedAt: number | null
  lastSuccessAt: number | null
  createdAt: number
  updatedAt: number
}

/** `off`: because somebody asked for it; `disabled`: by us, with a reason that says why. */
export type EndpointState = 'enabled' | 'disabled' | 'off'
/** The `disabledReason` of those that are off. */
export const offReason = 'requested'

/** What the master key seals of an endpoint. */
export type SealedFields = Pick<EndpointRecord, 'sealedSecret' | 'sealedHeaders' | 'sealedPreviousSecret'>

export interface EndpointStore {
  create(record: EndpointRecord): Promise<void>
  get(id: string): Promise<EndpointRecord | null>
  /** `sessionId: null` lists the fleet-wide ones, undefined all. */
  list(query: {
    sessionId?: string | null
    limit: number
    cursor?: string
  }): Promise<{ data: EndpointRecord[]; nextCursor: string | null }>
  /** With `sealedSecret` only while that is still the stored one; null when not, or when the endpoint is gone. */
  update(
    id: string,
    changes: Partial<Omit<EndpointRecord, 'id' | 'sessionId' | 'createdAt'>>,
    sealedSecret?: Uint8Array,
  ): Promise<EndpointRecord | null>
  /** Puts other bytes in the place of the sealed ones, while these are still stored; false when not. Nothing else changes. */
  reseal(id: string, from: SealedFields, to: SealedFields): Promise<boolean>
  /**
   * Disables it once; null when it was disabled already. The describe'd events stand under the endpoint's session, those of a fleet-wide one
   * under `sessionId`: whose delivery it was, also while the log still keeps events of a session that is gone.
   */
  disable(
    id: string,
    change: { reason: string; at: number; sessionId: string },
    describe: Describe<EndpointRecord>,
  ): Promise<Outcome<EndpointRecord> | null>
  countByState(): Promise<Record<EndpointState, number>>
  /** Removes it with its deliveries. */
  remove(id: string): Promise<boolean>
}

/** A delivery made with its event is due only after this time: first attempts come by their queue, the schedule repairs lost ones. */
export const firstAttemptGraceMs = 10_000

export type DeliveryStatus = 'pending' | 'succeeded' | 'failed' | 'dead'

export interface DeliveryAttempt {
  at: number
  /** HTTP status, null when no answer came. */
  status: number | null
  durationMs: number
  error: string | null
  /** First kilobyte of the answer. */
  answer: string | null
}

/** Of a delivery only the last ones are kept. */
export const attemptsKept = 20

/** An attempt, and what becomes of its delivery. */
export interface AttemptRecord {
  deliveryId: string
  attempt: DeliveryAttempt
  next: { status: DeliveryStatus; nextAttemptAt: number | null; deadReason?: string }
}

export interface DeliveryRecord {
  id: string
  eventId: string
  endpointId: string
  sessionId: string
  eventType: EventType
  /** The replay that made it; null for what was made with its event, or by hand. */
  replayId: string | null
  /** `failed` will be tried again at `nextAttemptAt`, `dead` not. */
  status: DeliveryStatus
  attemptCount: number
  nextAttemptAt: number | null
  /** Why it is `dead`, as a stable word: `endpoint_disabled`, `retries_exhausted`, …; null otherwise. */
  deadReason: string | null
  /** The last ones, at most `attemptsKept`. */
  attempts: DeliveryAttempt[]
  createdAt: number
  updatedAt: number
}

/** No attempt was made, or a job that will make it: an open breaker, a receiver that takes no more, a job just enqueued. */
export interface Postponement {
  deliveryId: string
  attemptCount: number
  nextAttemptAt: number
}

export type NewDelivery = Pick<DeliveryRecord, 'eventId' | 'endpointId' | 'sessionId' | 'eventType'> & { nextAttemptAt: number }

export interface DeliveryStore {
  get(id: string): Promise<DeliveryRecord | null>
  /** Newest first. */
  list(query: {
    endpointId: string
    status?: DeliveryStatus
    limit: number
    cursor?: string
  }): Promise<{ data: DeliveryRecord[]; nextCursor: string | null }>
  /**
   * Appends each attempt, counts it and sets what follows, all in one write. A delivery that has succeeded or is dead stays so; the
   * attempt is written down all the same. Ids of none are passed over, and an attempt that is written down already: a write whose outcome is
   * unknown may be made again.
   */
  recordAttempts(records: readonly AttemptRecord[]): Promise<void>
  /** Ends pending or failed ones as `dead` without an attempt: the endpoint is disabled, or the event is gone. */
  bury(ids: string[], deadReason: string, at: number): Promise<void>
  /** Of which endpoints something is due: those after that id, in the order of their ids. What waits for one costs the others nothing. */
  listDueEndpoints(query: { now: number; after?: string; limit: number }): Promise<string[]>
  /** An endpoint's pending or failed ones whose time has come: retries, what was put off, and first attempts whose job was lost. Oldest first. */
  listDue(endpointId: string, now: number, limit: number): Promise<DeliveryRecord[]>
  /** Sets the time of the next attempt without counting one, where the delivery is still open and has had just so many. */
  postpone(postponements: readonly Postponement[]): Promise<void>
  /** New deliveries of stored events, made by hand. */
  create(records: NewDelivery[]): Promise<DeliveryRecord[]>
  countByStatus(endpointId?: string): Promise<Record<DeliveryStatus, number>>
}
