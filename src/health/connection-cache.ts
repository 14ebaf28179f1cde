// Connection histories as the score needs them, asked of Redis again only when something has been noted since.
import { LRUCache } from 'lru-cache'
import { readConnectionHistories, type ConnectionHistory } from '../sessions/connection-history.ts'

type Deps = Parameters<typeof readConnectionHistories>[0]

export class ConnectionCache {
  readonly #deps: Deps
  readonly #known = new LRUCache<string, { newestAt: number; history: ConnectionHistory }>({ max: 20_000 })

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** `newest`: per session when its newest entry was noted, read before this call. One round trip for all that must be read. */
  async of(newest: ReadonlyMap<string, number>): Promise<Map<string, ConnectionHistory>> {
    const histories = new Map<string, ConnectionHistory>()
    const unknown: [id: string, newestAt: number][] = []
    for (const [id, newestAt] of newest) {
      const known = this.#known.get(id)
      if (known?.newestAt === newestAt) histories.set(id, known.history)
      else unknown.push([id, newestAt])
    }
    const read = await readConnectionHistories(
      this.#deps,
      unknown.map(([id]) => id),
    )
    for (const [index, [id, newestAt]] of unknown.entries()) {
      const history = read[index]
      if (!history) continue
      histories.set(id, history)
      this.#known.set(id, { newestAt, history })
    }
    return histories
  }
}
