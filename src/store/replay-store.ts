// Replays as the store keeps them: a stretch of the event log that goes to one endpoint once more, and how far it has come.
import type { DeliveryRecord, NewDelivery } from './event-store.ts'

/** `stopped`: by a person, or because the endpoint is gone or disabled. */
export type ReplayStatus = 'running' | 'finished' | 'stopped'

export interface ReplayRecord {
  id: string
  endpointId: string
  /** null: of a fleet-wide endpoint, over the events of all sessions. */
  sessionId: string | null
  /** Events of this time and later, milliseconds since the epoch. */
  since: number
  /** Events before or at this time. */
  until: number
  /** Types and groups, as endpoints name them. */
  types: string[]
  status: ReplayStatus
  /** Everything up to this place of the log is dealt with; null before the first step. */
  place: string | null
  deliveryCount: number
  createdAt: number
  updatedAt: number
}

export interface ReplayStore {
  /** False while another one of that endpoint is running. */
  create(record: ReplayRecord): Promise<boolean>
  /** Newest first. */
  list(query: {
    endpointId: string
    limit: number
    cursor?: string
  }): Promise<{ data: ReplayRecord[]; nextCursor: string | null }>
  /** Oldest first, those after that one; from the oldest when there is none of that id. */
  listRunning(query: { after?: string; limit: number }): Promise<ReplayRecord[]>
  /**
   * One step, whole or not at all: the deliveries are made and the replay stands at its next place. Null when it is not running any more,
   * or no longer stands where it did when it was read: somebody else has taken this step.
   */
  advance(
    replay: ReplayRecord,
    next: { place: string; status: 'running' | 'finished'; at: number },
    deliveries: NewDelivery[],
  ): Promise<DeliveryRecord[] | null>
  /** Ends a running one; null when there is none of that id and endpoint, otherwise how it stands. */
  stop(endpointId: string, id: string, at: number): Promise<ReplayRecord | null>
  /** How many of its deliveries wait for their first attempt. */
  countWaiting(id: string): Promise<number>
}
