// Lua in Redis: sent once by its hash, whole only when the server does not know it.
import { createHash } from 'node:crypto'
import type { Redis } from 'ioredis'

/** Runs the script atomically. What it answers is up to the script: check it. */
export type RedisScript = (redis: Redis, keys: string[], args: (string | number)[]) => Promise<unknown>

export function defineScript(lua: string): RedisScript {
  const sha = createHash('sha1').update(lua).digest('hex')
  return async (redis, keys, args) => {
    try {
      return await redis.evalsha(sha, keys.length, ...keys, ...args)
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
      return await redis.eval(lua, keys.length, ...keys, ...args)
    }
  }
}
