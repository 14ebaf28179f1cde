// Carries out `logout` and `delete`: credentials erased, what waits failed with the reason, and for `delete` nothing left over.
import { createQueue } from '../platform/queue.ts'
import { retryStore } from '../messages/retry-store.ts'
import { sendQueueName } from '../messages/send-queue.ts'
import { forgetConnections } from '../sessions/connection-history.ts'
import type { Lease } from '../sessions/lease.ts'
import { commandsKey, conflictsKey, leaseKey, liveKey, pairingCodeKey, qrKey } from '../sessions/session-keys.ts'
import type { SessionRecord } from '../store/session-store.ts'
import type { Store } from '../store/store.ts'
import { switchBreaker } from '../webhooks/breaker-state.ts'
import type { SessionCredentials } from '../whatsapp/whatsapp-client.ts'
import { failUnfinished } from './fail-unfinished.ts'
import type { SessionState, StateDeps } from './session-state.ts'

/** More than a session may have. */
const endpointsAtMost = 200

interface LeaveDeps extends StateDeps {
  store: Store
  lease: Lease
  state: SessionState
  credentials: SessionCredentials
}

/** WhatsApp has been told, or could not be. Every step may be repeated. False when the user asked for something else meanwhile. */
export async function logOutSession(deps: LeaveDeps, record: SessionRecord): Promise<boolean> {
  await retryStore(() => deps.credentials.erase(), deps)
  await failUnfinished(deps, deps.lease, 'session_logged_out')
  return deps.state.settle(record.intentRevision, 'logged_out', 'requested', {
    phoneNumber: null,
    formerPhoneNumber: record.phoneNumber ?? record.formerPhoneNumber,
    lid: null,
    pushName: null,
    network: null,
    restriction: null,
    pairingStartedAt: null,
  })
}

/** The row goes last: until then whoever claims the session finishes what was begun. @throws what Redis answers when it is away */
export async function removeSession(deps: LeaveDeps, record: SessionRecord): Promise<void> {
  const { redis, prefix, store, lease, log } = deps
  await retryStore(() => deps.credentials.erase(), deps)
  await failUnfinished(deps, deps.lease, 'session_deleted')
  const queue = createQueue(sendQueueName(record.id), redis, prefix)
  try {
    await queue.obliterate({ force: true })
  } finally {
    await queue.close()
  }
  await deps.state.shown()
  const parts = [liveKey, qrKey, pairingCodeKey, commandsKey, conflictsKey]
  await redis.del(...parts.map((key) => key(prefix, record.id)))
  await forgetConnections(deps, record.id)
  const endpoints = await retryStore(() => store.endpoints.list({ sessionId: record.id, limit: endpointsAtMost }), deps)
  await retryStore(() => store.sessions.remove(record.id, lease.epoch), deps)
  await Promise.all(endpoints.data.map(({ id }) => switchBreaker(deps, id, false)))
  await redis.del(leaseKey(prefix, record.id))
  log.info('session.removed')
}
