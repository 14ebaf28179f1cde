// Sign-ins that were ended before their time, known to all API processes through Redis.
import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import type { Log } from '../platform/log.ts'
import { redisKey } from '../platform/redis.ts'
import type { SignIn } from './session-cookie.ts'

/** As long as a deleted key works on other API processes. */
const rememberedMs = 1_000
const maxRemembered = 5_000

interface SignedOutDeps {
  redis: Redis
  prefix: string
  log: Log
}

/** While Redis is away nobody is shut out: what other processes have ended meanwhile, or before this one began, is taken for good. */
export class SignedOut {
  readonly #deps: SignedOutDeps
  readonly #ended = new LRUCache<string, true>({ max: maxRemembered })
  readonly #asked = new LRUCache<string, Promise<boolean>>({ max: maxRemembered, ttl: rememberedMs })

  constructor(deps: SignedOutDeps) {
    this.#deps = deps
  }

  /** At once on this process; on the others within a second, unless Redis is away. */
  async add({ nonce, expiresAt }: SignIn): Promise<void> {
    const { redis, prefix, log } = this.#deps
    this.#ended.set(nonce, true)
    try {
      await redis.set(keyOf(prefix, nonce), '1', 'PXAT', expiresAt)
    } catch (err) {
      log.warn({ err }, 'sign_out.not_shared')
    }
  }

  async has({ nonce }: SignIn): Promise<boolean> {
    return this.#ended.has(nonce) || this.#ask(nonce)
  }

  /** Requests that arrive together share one question. */
  #ask(nonce: string): Promise<boolean> {
    const { redis, prefix } = this.#deps
    const asked = this.#asked.get(nonce)
    if (asked) return asked
    const answer = redis.exists(keyOf(prefix, nonce)).then(
      (count) => count === 1,
      () => false,
    )
    this.#asked.set(nonce, answer)
    return answer
  }
}

function keyOf(prefix: string, nonce: string): string {
  return redisKey(prefix, 'signed-out', nonce)
}
