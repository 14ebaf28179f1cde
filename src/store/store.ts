// The port to the store of truth; sqlite/ and mongo/ implement it and pass the same contract tests.
import type { CredentialStore } from './credential-store.ts'
import type { DeliveryStore, EndpointStore, EventStore } from './event-store.ts'
import type { HealthStore } from './health-store.ts'
import type { KeyStore } from './key-store.ts'
import type { MessageStore } from './message-store.ts'
import type { ReplayStore } from './replay-store.ts'
import type { SessionStore } from './session-store.ts'

/** How long things are kept, in milliseconds after their last change. */
export interface RetentionPolicy {
  messagesMs: number
  deliveriesMs: number
  eventsMs: number
  healthSamplesMs: number
}

/**
 * Every method rejects with AppError `store_unavailable` when the store cannot be reached (nothing was written),
 * or `accept_outcome_unknown` when a write was sent and no answer came in time.
 */
export interface Store {
  readonly kind: 'sqlite' | 'mongo'
  readonly sessions: SessionStore
  readonly keys: KeyStore
  readonly credentials: CredentialStore
  readonly messages: MessageStore
  readonly events: EventStore
  readonly endpoints: EndpointStore
  readonly deliveries: DeliveryStore
  readonly replays: ReplayStore
  readonly health: HealthStore
  /** @throws AppError `store_unavailable` */
  ping(): Promise<void>
  /** One bounded step of cleaning up; call again while `removed` is not 0. Never removes what is scheduled, queued or sending. */
  sweep(policy: RetentionPolicy, now: number, limit: number): Promise<{ removed: number }>
  close(): Promise<void>
}
