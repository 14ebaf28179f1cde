// Connection histories as the score needs them, asked of Redis again only when something may have been noted since.
import { LRUCache } from 'lru-cache'
import { readConnectionHistories, type ConnectionHistory } from '../sessions/connection-history.ts'

type Deps = Parameters<typeof readConnectionHistories>[0]

/** An entry may be written a little after the time it bears; until so long after the newest one they are read every time. */
const settledMs = 5_000

export class ConnectionCache {
  readonly #deps: Deps
  readonly #known = new LRUCache<string, { newestAt: number; history: ConnectionHistory }>({ max: 20_000 })

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** `newest`: per session the time of its newest entry. One round trip for all that must be read. */
  async of(newest: ReadonlyMap<string, number>, now: number): Promise<Map<string, ConnectionHistory>> {
    const histories = new Map<string, ConnectionHistory>()
    const unknown: string[] = []
    for (const [id, newestAt] of newest) {
      const known = this.#known.get(id)
      if (known?.newestAt === newestAt) histories.set(id, known.history)
      else unknown.push(id)
    }
    const read = await readConnectionHistories(this.#deps, unknown)
    for (const [index, id] of unknown.entries()) {
      const history = read[index]
      if (!history) continue
      histories.set(id, history)
      const newestAt = newest.get(id) ?? now
      if (now - newestAt > settledMs) this.#known.set(id, { newestAt, history })
    }
    return histories
  }
}
