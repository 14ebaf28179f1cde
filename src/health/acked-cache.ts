// Acknowledged messages of sessions as the score needs them, asked of the store again only when something may have changed.
import { LRUCache } from 'lru-cache'
import type { AckedMessage, HealthStore, SessionWork } from '../store/health-store.ts'

/** Of each session the newest; enough to tell. */
export const ackedLimit = 100
/** While messages come and go the newest numbers are not worth a question per tick. */
const busyForMs = 30_000

export class AckedCache {
  readonly #health: Pick<HealthStore, 'acked'>
  readonly #known = new LRUCache<string, { revision: number; at: number; acked: AckedMessage[] }>({ max: 5_000 })

  constructor(health: Pick<HealthStore, 'acked'>) {
    this.#health = health
  }

  async of(sessionId: string, { revision, depth }: SessionWork, now: number): Promise<readonly AckedMessage[]> {
    const known = this.#known.get(sessionId)
    if (known && (known.revision === revision || (depth === 0 && now - known.at < busyForMs))) return known.acked
    const acked = await this.#health.acked(sessionId, ackedLimit)
    this.#known.set(sessionId, { revision, at: now, acked })
    return acked
  }
}
