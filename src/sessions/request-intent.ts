// What a user wants of a session — connect, disconnect, logout, delete — stored as an intent that its holder carries out.
import type { Redis } from 'ioredis'
import type { Log } from '../platform/log.ts'
import { pingRedis } from '../platform/redis.ts'
import type { SessionIntent, SessionRecord, SessionStore } from '../store/session-store.ts'
import { wakeSession } from './live-session.ts'

interface IntentDeps {
  sessions: Pick<SessionStore, 'request'>
  redis: Redis
  prefix: string
  log: Log
}

/** Null when there is no such session. @throws AppError `redis_unavailable` (nothing is stored then), `store_unavailable` */
export async function requestIntent(deps: IntentDeps, sessionId: string, intent: SessionIntent): Promise<SessionRecord | null> {
  await pingRedis(deps.redis)
  const session = await deps.sessions.request(sessionId, intent, Date.now())
  if (session) await offerIntent(deps, sessionId)
  return session
}

/** The store has it already: a wake-up that gets lost only costs the time until the fleet's next sweep. */
export async function offerIntent({ redis, prefix, log }: Omit<IntentDeps, 'sessions'>, sessionId: string): Promise<void> {
  try {
    await wakeSession(redis, prefix, sessionId, 'intent')
  } catch (err) {
    log.debug({ err, sessionId }, 'session.wake_failed')
  }
}
