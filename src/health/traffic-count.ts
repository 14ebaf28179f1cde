// How many messages a session sent and received from one sample of its health to the next.
import { LRUCache } from 'lru-cache'
import type { HealthSample, HealthStore } from '../store/health-store.ts'

/** Stands among the signals of a sample. */
export interface Traffic {
  sentCount: number
  receivedCount: number
  /** Of the session's work at that time: the next sample counts from here. */
  revision: number
}

const none = { sentCount: 0, receivedCount: 0 }

export class TrafficCount {
  readonly #health: Pick<HealthStore, 'latest' | 'traffic'>
  /** Spares a question to the store; another scheduler's samples are known by `latest`. */
  readonly #counted = new LRUCache<string, { at: number; revision: number }>({ max: 20_000 })

  constructor(health: Pick<HealthStore, 'latest' | 'traffic'>) {
    this.#health = health
  }

  /** Since the sample that was kept at `sampledAt`; null: since the session was made. */
  async since(sessionId: string, sampledAt: number | null, now: { at: number; revision: number }): Promise<Traffic> {
    const from = sampledAt === null ? 0 : await this.#revisionAt(sessionId, sampledAt)
    this.#counted.set(sessionId, now)
    const { revision } = now
    if (from === null || from >= revision) return { ...none, revision }
    return { ...(await this.#health.traffic(sessionId, from, revision)), revision }
  }

  async #revisionAt(sessionId: string, sampledAt: number): Promise<number | null> {
    const known = this.#counted.get(sessionId)
    if (known?.at === sampledAt) return known.revision
    const latest = await this.#health.latest(sessionId)
    return latest ? trafficOf(latest).revision : null
  }
}

/** Samples of older versions have none. */
export function trafficOf({ signals }: Pick<HealthSample, 'signals'>): { [K in keyof Traffic]: number | null } {
  const number = (value: unknown) => (typeof value === 'number' ? value : null)
  return {
    sentCount: number(signals['sentCount']),
    receivedCount: number(signals['receivedCount']),
    revision: number(signals['revision']),
  }
}
