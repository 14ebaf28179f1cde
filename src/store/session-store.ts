// Sessions as the store keeps them: what is wanted, what is, and the epoch that fences every write of a holder.
import type { Describe, EndpointRecord, Outcome } from './event-store.ts'
import type { KeyRecord } from './key-store.ts'

export const sessionStatuses = [
  'pending',
  'pairing',
  'connecting',
  'connected',
  'reconnecting',
  'disconnected',
  'logged_out',
] as const
export type SessionStatus = (typeof sessionStatuses)[number]

/** What the user asked for last. `delete` and `logout` are carried out by a holder; the session is claimed for it when nobody holds it. */
export type SessionIntent = 'connect' | 'disconnect' | 'logout' | 'delete'

/** Pacing fields: null = off. */
export interface SessionSettings {
  messagesPerMinute: number | null
  burst: number | null
  perRecipientSeconds: number | null
  newContactsPerDay: number | 'warmup' | null
  typing: boolean
  maxQueueDepth: number
  markOnline: boolean
  pairingTimeoutSeconds: number
  /** As it is shown: `***` for the password. */
  proxyUrl: string | null
  /** The whole of it, sealed, base64. */
  sealedProxyUrl?: string | null
}

export interface SessionEdits {
  displayName?: string
  metadata?: Record<string, string>
  settings?: Partial<SessionSettings>
}

export interface SessionHealth {
  score: number
  level: string
  /** What costs most points; null while nothing does. */
  reason: { code: string; points: number; text: string } | null
  /** When it was scored so, milliseconds since the epoch. */
  at: number
}

export interface SessionRecord {
  id: string
  displayName: string
  status: SessionStatus
  statusReason: string | null
  phoneNumber: string | null
  lid: string | null
  pushName: string | null
  /** The one before a requested log-out, while there is no other: whose contacts it still has. */
  formerPhoneNumber: string | null
  restriction: { reason: string; until: number } | null
  /** Null before the first score. */
  health: SessionHealth | null
  settings: SessionSettings
  metadata: Record<string, string>
  pairingPhoneNumber: string | null
  /** When the current pairing began; the time limit counts from here. */
  pairingStartedAt: number | null
  /** The network its credentials belong to; null until it is paired. */
  network: 'whatsapp' | 'sandbox' | null
  intent: SessionIntent
  /** Raised by every request of the user, so that an answer to an older one cannot overwrite a newer one. */
  intentRevision: number
  /** A worker should hold it: it shall be connected, or an intent is not carried out yet. */
  claimable: boolean
  epoch: number
  createdAt: number
  updatedAt: number
  lastConnectedAt: number | null
  lastEventAt: number | null
  /** Set by DELETE: from then on it is 404 outside; the holder finishes and removes it. */
  deletedAt: number | null
}

/** What a holder may change; every such write carries its epoch. */
export type HolderChanges = Partial<
  Pick<
    SessionRecord,
    | 'status'
    | 'statusReason'
    | 'phoneNumber'
    | 'lid'
    | 'pushName'
    | 'formerPhoneNumber'
    | 'restriction'
    | 'network'
    | 'pairingStartedAt'
    | 'lastConnectedAt'
    | 'lastEventAt'
    | 'pairingPhoneNumber'
  >
>

export interface SessionStore {
  /** The session, its first key and its endpoint in one transaction. */
  create(
    input: { session: SessionRecord; key: KeyRecord; endpoint: EndpointRecord | null },
    describe: Describe<SessionRecord>,
  ): Promise<Outcome<SessionRecord>>
  /** Also finds deleted ones (`deletedAt`): the caller decides. */
  get(id: string): Promise<SessionRecord | null>
  /** Without deleted ones, newest first. */
  list(query: {
    limit: number
    cursor?: string
    status?: SessionStatus
    search?: string
  }): Promise<{ data: SessionRecord[]; nextCursor: string | null }>
  /** What the user may edit; settings that are not named stay, whoever sets them at the same moment. Null when unknown or deleted. */
  edit(id: string, changes: SessionEdits): Promise<SessionRecord | null>
  /** Stores the intent, raises its revision and makes the session claimable. `delete` also sets deletedAt and revokes its keys. Null when unknown or deleted. */
  request(id: string, intent: SessionIntent, at: number): Promise<SessionRecord | null>
  /** Claimable sessions in id order, deleted ones included; those with recent traffic can be told by lastEventAt. */
  listClaimable(query: {
    afterId?: string
    limit: number
  }): Promise<Pick<SessionRecord, 'id' | 'epoch' | 'intent' | 'status' | 'lastEventAt'>[]>
  countByStatus(): Promise<Record<SessionStatus, number>>
  /**
   * Sets the epoch when it is higher than the stored one; false when not, or when the session is gone. Must succeed before a socket opens.
   * With `from` only while the stored one is still that: whoever raised it meanwhile holds the session.
   */
  raiseEpoch(id: string, epoch: number, from?: number): Promise<boolean>
  /** @throws AppError `stale_epoch` when the stored epoch is not this one, or the session is gone. */
  update(id: string, epoch: number, changes: HolderChanges, describe: Describe<SessionRecord>): Promise<Outcome<SessionRecord>>
  /**
   * Ends the holder's duty: like `update`, and `claimable: false`, but only while `intentRevision` is still the one that was carried out.
   * As `logged_out` the credentials are erased in the same transaction: nobody finds a session without them that does not say why.
   * Null when a newer request came in, and nothing is changed: look at the session again.
   */
  settle(
    id: string,
    epoch: number,
    intentRevision: number,
    changes: HolderChanges,
    describe: Describe<SessionRecord>,
  ): Promise<Outcome<SessionRecord> | null>
  /**
   * The last step of a deletion, fenced: the session with credentials, keys, endpoints and their deliveries, messages, contacts and samples.
   * Its events, and their deliveries to fleet-wide endpoints, stay as long as any others.
   */
  remove(id: string, epoch: number): Promise<void>
  /** In id order, those of deleted sessions too: they still have to log out. */
  listSealedProxies(query: { afterId: string; limit: number }): Promise<{ id: string; sealedProxyUrl: string }[]>
  /** Only while it is still `from`; false when somebody changed it meanwhile. */
  resealProxy(id: string, from: string, to: string): Promise<boolean>
  /** By the health job; not fenced. */
  setHealth(id: string, health: SessionHealth, describe: Describe<SessionRecord>): Promise<Outcome<SessionRecord> | null>
}
