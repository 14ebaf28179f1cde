// Sessions as one process remembers them for a moment, so that a stream of requests for one reads it once a second.
import { LRUCache } from 'lru-cache'
import type { SessionRecord, SessionStore } from '../store/session-store.ts'

/** What others change is seen after this time, what this process changes at once. */
const rememberedMs = 1_000

/** For readers that can bear a second: what must not happen to a session that is gone or changed, the store's write refuses. */
export class RememberedSessions {
  readonly #sessions: SessionStore
  readonly #lookups = new LRUCache<string, Promise<SessionRecord | null>>({ max: 5_000, ttl: rememberedMs })

  constructor(sessions: SessionStore) {
    this.#sessions = sessions
  }

  /** Requests that arrive together share one look-up; a failed one is not remembered. The record is shared: do not change it. */
  get(id: string): Promise<SessionRecord | null> {
    const known = this.#lookups.get(id)
    if (known) return known
    const lookup = this.#sessions.get(id)
    this.#lookups.set(id, lookup)
    lookup.catch(() => this.#lookups.delete(id))
    return lookup
  }

  /** The store for whoever changes sessions here: each change forgets what was remembered, also one whose outcome is unknown. */
  get store(): SessionStore {
    const sessions = this.#sessions
    const forgetting = async <T>(id: string, change: Promise<T>): Promise<T> => {
      try {
        return await change
      } finally {
        this.#lookups.delete(id)
      }
    }
    return {
      ...sessions,
      edit: (id, ...rest) => forgetting(id, sessions.edit(id, ...rest)),
      request: (id, ...rest) => forgetting(id, sessions.request(id, ...rest)),
    }
  }
}
