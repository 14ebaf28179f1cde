// Waits for the QR code that the holder of a session shows, for a while.
import type { Redis } from 'ioredis'
import { sleep } from '../platform/clock.ts'
import { AppError } from '../platform/errors.ts'
import type { SessionStore } from '../store/session-store.ts'
import { findSession } from './edit-session.ts'
import { readLiveSession, type LiveSession } from './live-session.ts'
import { isPaired, willPair } from './session.ts'

const pollMs = 150
/** The store changes slower than the code: it is asked again only now and then. */
const pollsPerStoreRead = 5

interface QrDeps {
  sessions: Pick<SessionStore, 'get'>
  redis: Redis
  prefix: string
}

export interface ReadQrOptions {
  waitMs: number
  /** The client has gone, or the process stops. */
  signal: AbortSignal
}

/**
 * Null when there is no such session.
 * @throws AppError `session_already_paired`, `qr_not_ready` (at once when nobody is asked to pair it), `redis_unavailable`
 */
export async function readQr(
  deps: QrDeps,
  sessionId: string,
  { waitMs, signal }: ReadQrOptions,
): Promise<{ qr: string; expiresAt: number } | null> {
  const end = performance.now() + waitMs
  for (let poll = 0; ; poll++) {
    if (poll % pollsPerStoreRead === 0) {
      const session = await findSession(deps, sessionId)
      if (!session) return null
      if (isPaired(session)) throw new AppError('session_already_paired')
      if (!willPair(session)) {
        throw new AppError('qr_not_ready', `The session is ${session.status}: connect it first.`, { retryAfterSeconds: 5 })
      }
    }
    const { qr, qrExpiresAt: expiresAt } = await readLive(deps, sessionId)
    if (qr !== null && expiresAt !== null && expiresAt > Date.now()) return { qr, expiresAt }
    if (signal.aborted || performance.now() >= end) throw new AppError('qr_not_ready', undefined, { retryAfterSeconds: 2 })
    await sleep(pollMs, signal)
  }
}

async function readLive(deps: QrDeps, sessionId: string): Promise<LiveSession> {
  try {
    return await readLiveSession(deps, sessionId)
  } catch (cause) {
    throw new AppError('redis_unavailable', undefined, { cause, retryAfterSeconds: 2 })
  }
}
