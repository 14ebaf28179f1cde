// What follows the end of a socket, by the disconnect table: try again, or end the duty with a status and its reason.
import type { Redis } from 'ioredis'
import type { Log } from '../platform/log.ts'
import type { Lease } from '../sessions/lease.ts'
import { readLeaseStates, type LeaseDeps } from '../sessions/lease-scripts.ts'
import { conflictsKey } from '../sessions/session-keys.ts'
import type { HolderChanges, SessionRecord, SessionStatus } from '../store/session-store.ts'
import type { SessionState } from './session-state.ts'
import type { SocketEnd } from './session-socket.ts'

interface DecideDeps extends LeaseDeps {
  state: SessionState
  log: Log
}

export type Next =
  /** The duty has ended; nothing more to do. */
  | { kind: 'settled' }
  /** Somebody else holds it. */
  | { kind: 'lost' }
  /** Look at the session again and try; `isAsked`: the user wanted it closed, so nothing is to blame. */
  | { kind: 'again'; isAsked: boolean }

/** Another socket of the same device: the third time within this time is the end. */
const conflictWindowMs = 600_000
const conflictLimit = 3

/** `record` is the session as it was when the socket was opened: an answer to an older request of the user settles nothing. */
export async function decideNext(
  deps: DecideDeps,
  lease: Lease,
  { record, end, isPaired, isAsked }: { record: SessionRecord; end: SocketEnd; isPaired: boolean; isAsked: boolean },
): Promise<Next> {
  const { cause } = end
  const { state, log } = deps
  const settle = async (status: SessionStatus, changes: HolderChanges = {}): Promise<Next> =>
    (await state.settle(record.intentRevision, status, cause.reason, { ...changes, pairingStartedAt: null }))
      ? { kind: 'settled' }
      : { kind: 'again', isAsked: true }
  const retry = async (): Promise<Next> => {
    if (isPaired && !isAsked) await state.change('reconnecting', cause.reason)
    // Somebody waits for a code that cannot come before the proxy is put right.
    else if (!isAsked && cause.reason === 'proxy_failed') await state.change('pairing', cause.reason)
    return { kind: 'again', isAsked }
  }

  switch (cause.action) {
    case 'none':
      return cause.reason === 'lease_lost' || cause.reason === 'stale_epoch' ? { kind: 'lost' } : { kind: 'again', isAsked }
    case 'restart':
      if (end.wasOpen && !isAsked) await state.change('reconnecting', cause.reason)
      return { kind: 'again', isAsked }
    case 'new_refs':
      return { kind: 'again', isAsked }
    case 'retry':
    case 'retry_slowly':
      return retry()
    case 'conflict':
      // Without the lease it is its new holder that pushed us out: nothing is wrong.
      if (!lease.isTrusted() || !(await stillOwns(deps, lease))) return { kind: 'lost' }
      if ((await countConflict(deps.redis, deps.prefix, record.id)) < conflictLimit) return retry()
      return settle('disconnected')
    case 'logged_out': {
      // The store erases the credentials with it. When the user asked for something else meanwhile, the next login is refused again.
      const next = await settle('logged_out', { network: null })
      if (next.kind === 'settled') log.warn({ code: cause.code, reason: cause.reason }, 'credentials.erased')
      return next
    }
    case 'give_up':
      log.error({ code: cause.code, reason: cause.reason, detail: cause.detail }, 'session.given_up')
      return settle('disconnected')
  }
}

/** Redis away: our own clock decides. */
async function stillOwns(deps: DecideDeps, lease: Lease): Promise<boolean> {
  try {
    return (await readLeaseStates(deps, lease.incarnation, [lease.sessionId]))[0] === 'own'
  } catch {
    return true
  }
}

/** How often within the window, this time included; kept in Redis, so that a handover does not start anew. */
async function countConflict(redis: Redis, prefix: string, sessionId: string): Promise<number> {
  const key = conflictsKey(prefix, sessionId)
  const now = Date.now()
  try {
    const results = await redis
      .multi()
      .lpush(key, now)
      .ltrim(key, 0, conflictLimit)
      .pexpire(key, conflictWindowMs)
      .lrange(key, 0, -1)
      .exec()
    const times = (results?.[3]?.[1] ?? []) as string[]
    return times.filter((time) => now - Number(time) < conflictWindowMs).length
  } catch {
    return 1
  }
}
