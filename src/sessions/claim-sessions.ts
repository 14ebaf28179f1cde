// Claims sessions: first the lease in Redis, then its epoch in the store; only both together are a right to act.
import type { Log } from '../platform/log.ts'
import type { SessionStore } from '../store/session-store.ts'
import { claimLeases, releaseLeases, type HeldEpoch, type LeaseDeps } from './lease-scripts.ts'
import { Lease } from './lease.ts'
import type { WorkerHeartbeat } from './worker-heartbeat.ts'

interface ClaimDeps extends LeaseDeps {
  sessions: Pick<SessionStore, 'raiseEpoch'>
  heartbeat: Pick<WorkerHeartbeat, 'incarnation' | 'trustOfPresent'>
  log: Log
}

/** `closed`: sessions that nobody may take for a moment, because Redis may have forgotten who holds them. */
interface Claimed {
  leases: Lease[]
  closed: string[]
}

/**
 * Those of `wanted` that nobody alive holds; `epoch` is the one the store told of. Whatever the store then refuses (gone, or a higher epoch)
 * or cannot answer is released again. Rejects when Redis does not answer.
 */
export async function claimSessions(deps: ClaimDeps, wanted: { id: string; epoch: number }[]): Promise<Claimed> {
  if (wanted.length === 0) return { leases: [], closed: [] }
  const { heartbeat, sessions, log } = deps
  const { incarnation } = heartbeat
  const trust = heartbeat.trustOfPresent()
  const epochs = await claimLeases(deps, incarnation, wanted)
  const claimed: HeldEpoch[] = wanted
    .map(({ id }, index) => ({ sessionId: id, epoch: epochs[index] ?? 0 }))
    .filter(({ epoch }) => epoch > 0)
  const refused: HeldEpoch[] = []
  const leases: Lease[] = []
  await Promise.all(
    claimed.map(async (held) => {
      try {
        if ((await sessions.raiseEpoch(held.sessionId, held.epoch)) && trust.isTrusted()) {
          leases.push(new Lease({ ...held, incarnation }, trust))
          return
        }
      } catch (err) {
        log.warn({ err, sessionId: held.sessionId }, 'lease.raise_failed')
      }
      refused.push(held)
    }),
  )
  if (refused.length > 0) await releaseLeases(deps, incarnation, refused)
  return { leases, closed: wanted.filter((_, index) => epochs[index] === -1).map(({ id }) => id) }
}
