// Acknowledged messages of sessions as the score needs them, asked of the store again only when something may have changed.
import { LRUCache } from 'lru-cache'
import type { AckedMessage, HealthStore, SessionWork } from '../store/health-store.ts'

/** Of each session those that were acknowledged last; enough to tell. */
export const ackedLimit = 100
/** How far back the session's events are looked through for each message that is wanted; a message makes about five. */
const eventsPerMessage = 10
/** While messages come and go the newest numbers are not worth a question per tick. */
const busyForMs = 30_000

type Acks = Pick<HealthStore, 'sent' | 'acked'>

/** Last acknowledged first: by that time and not by when they were accepted, since lanes, holds and schedules let later ones pass. */
export async function lastAcked(health: Acks, sessionId: string, revision: number, limit: number): Promise<AckedMessage[]> {
  return health.acked(sessionId, await health.sent(sessionId, revision - limit * eventsPerMessage, revision, limit))
}

export class AckedCache {
  readonly #health: Acks
  readonly #known = new LRUCache<string, { revision: number; at: number; acked: AckedMessage[] }>({ max: 5_000 })

  constructor(health: Acks) {
    this.#health = health
  }

  async of(sessionId: string, { revision, depth }: SessionWork, now: number): Promise<readonly AckedMessage[]> {
    const known = this.#known.get(sessionId)
    if (known && (known.revision === revision || (depth === 0 && now - known.at < busyForMs))) return known.acked
    const acked = known
      ? await this.#more(sessionId, known, revision)
      : await lastAcked(this.#health, sessionId, revision, ackedLimit)
    this.#known.set(sessionId, { revision, at: now, acked })
    return acked
  }

  /** Only what was told since is looked through; those that are known may have been delivered meanwhile. */
  async #more(sessionId: string, known: { revision: number; acked: AckedMessage[] }, revision: number): Promise<AckedMessage[]> {
    const since = Math.max(known.revision, revision - ackedLimit * eventsPerMessage)
    const more = await this.#health.sent(sessionId, since, revision, ackedLimit)
    const ids = [...more, ...known.acked.map(({ id }) => id)]
    return this.#health.acked(sessionId, ids.slice(0, ackedLimit))
  }
}
