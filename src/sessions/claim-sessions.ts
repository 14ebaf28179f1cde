// Claims sessions: first the lease in Redis, then its epoch in the store; only both together are a right to act.
import type { Log } from '../platform/log.ts'
import type { SessionStore } from '../store/session-store.ts'
import { claimLeases, releaseLeases, type HeldEpoch, type LeaseDeps } from './lease-scripts.ts'
import { Lease } from './lease.ts'
import type { WorkerHeartbeat } from './worker-heartbeat.ts'

interface ClaimDeps extends LeaseDeps {
  sessions: Pick<SessionStore, 'raiseEpoch'>
  heartbeat: Pick<WorkerHeartbeat, 'incarnation' | 'trustOfPresent' | 'restoreCount'>
  /** Takes each lease in the same tick in which it comes into being: from then on it is restored with the others. */
  claimed: (lease: Lease) => void
  log: Log
}

interface Claimed {
  claimedCount: number
  /** To be tried again soon: closed for a moment because Redis may have forgotten who holds them, or the store has another epoch by now. */
  again: string[]
}

/**
 * Those of `wanted` that nobody alive holds; `epoch` is the one the store told of. Whatever the store then refuses (gone, or raised
 * by another since) or cannot answer is released again. Rejects when Redis does not answer.
 */
export async function claimSessions(deps: ClaimDeps, wanted: { id: string; epoch: number }[]): Promise<Claimed> {
  if (wanted.length === 0) return { claimedCount: 0, again: [] }
  const { heartbeat, sessions, log } = deps
  const { incarnation, restoreCount } = heartbeat
  const trust = heartbeat.trustOfPresent()
  const answers = await claimLeases(deps, incarnation, wanted)
  const claimed = wanted
    .map(({ id, epoch: from }, index) => ({ sessionId: id, from, epoch: 0, takenFrom: null, ...answers[index] }))
    .filter(({ epoch }) => epoch > 0)
  const refused: HeldEpoch[] = []
  let claimedCount = 0
  await Promise.all(
    claimed.map(async (held) => {
      try {
        const isRaised = await sessions.raiseEpoch(held.sessionId, held.epoch, held.from)
        if (isRaised && trust.isTrusted() && heartbeat.restoreCount === restoreCount) {
          claimedCount += 1
          deps.claimed(new Lease({ ...held, incarnation }, trust))
          return
        }
      } catch (err) {
        log.warn({ err, sessionId: held.sessionId }, 'lease.raise_failed')
      }
      refused.push(held)
    }),
  )
  if (refused.length > 0) await releaseLeases(deps, incarnation, refused)
  const closed = wanted.filter((_, index) => answers[index]?.epoch === -1).map(({ id }) => id)
  return { claimedCount, again: [...closed, ...refused.map(({ sessionId }) => sessionId)] }
}
