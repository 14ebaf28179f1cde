// Counts how often the fleet closed its takeovers because Redis may have forgotten who holds what: the key lives for one TTL only.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { quarantineKey } from '../../src/sessions/session-keys.ts'

const pollMs = 250

/** `stop` ends it; Redis may be away at any time. */
export function watchQuarantine(redis: Redis, prefix: string): { count: () => number; stop: () => void } {
  const ending = new AbortController()
  let count = 0
  const watch = async () => {
    let wasClosed = false
    while (!ending.signal.aborted) {
      const isClosed = await redis.exists(quarantineKey(prefix)).then(
        (found) => found === 1,
        () => wasClosed,
      )
      if (isClosed && !wasClosed) count += 1
      wasClosed = isClosed
      await sleep(pollMs)
    }
  }
  void watch()
  return { count: () => count, stop: () => ending.abort() }
}
