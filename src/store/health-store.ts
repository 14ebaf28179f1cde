// Health samples as the store keeps them, and what the health score asks about a session's messages.

export interface HealthSample {
  sessionId: string
  at: number
  score: number
  level: string
  reasons: { code: string; points: number; text: string }[]
  signals: Record<string, number | string | boolean | null>
  actions: { action: string; reason: string }[]
}

/** What waits to be sent. Times are milliseconds since the epoch. */
export interface SessionWork {
  /** Rises whenever something of the session is told: while it stays, its messages are as they were. */
  revision: number
  /** Queued and sending ones. */
  depth: number
  oldestQueuedAt: number | null
  /** When the oldest that nothing keeps back was queued; null when all are held, or none wait. */
  readySince: number | null
  /** When the oldest `sending` one was first handed over. */
  sendingSince: number | null
}

/** Of all sessions together. Whoever asked for a session to be disconnected or logged out need not be told that it is. */
export interface FleetHealth {
  /** Scored sessions by level, without those that are off because somebody asked for it. */
  levels: Record<string, number>
  /** Of the same: lowest scores first, none of 100. */
  sickest: { sessionId: string; score: number }[]
  unfinished: Record<'scheduled' | 'queued' | 'sending', number>
  /** When the message was last touched that waits longest in a connected session with nothing that keeps it back. */
  oldestReadyAt: number | null
}

/** An outbound message that WhatsApp has acknowledged. */
export interface AckedMessage {
  id: string
  /** The chat's canonical JID. */
  recipient: string
  sendingAt: number
  sentAt: number
  /** Or read, or played. */
  isDelivered: boolean
}

export interface HealthStore {
  append(samples: HealthSample[]): Promise<void>
  latest(sessionId: string): Promise<HealthSample | null>
  /** The newest, oldest first. */
  list(sessionId: string, since: number, limit: number): Promise<HealthSample[]>
  /** Puts `into`, which is stored under its time already, in the place of itself and of those of the times in `from`. */
  merge(sessionId: string, merges: { into: HealthSample; from: number[] }[]): Promise<void>
  /** Of each session that exists. */
  work(sessionIds: readonly string[], now: number): Promise<Map<string, SessionWork>>
  /** Messages sent (acknowledged) and received between two revisions of its work, the second included. */
  traffic(sessionId: string, after: number, until: number): Promise<{ sentCount: number; receivedCount: number }>
  /** For operators; `limit` bounds `sickest`. */
  overview(now: number, limit: number): Promise<FleetHealth>
  /** Which messages were sent (acknowledged) between two revisions of its work, the second included: their ids, last sent first. */
  sent(sessionId: string, after: number, until: number, limit: number): Promise<string[]>
  /** As they are now, in the order given; without those that are gone. */
  acked(sessionId: string, ids: readonly string[]): Promise<AckedMessage[]>
}
