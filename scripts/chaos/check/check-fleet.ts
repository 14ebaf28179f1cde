// Who held what: one sending holder at a time, even shares in the end, and nothing left over.
import type { Claim, Connection, History, Violation } from './history.ts'

/** Clocks of the processes are one, but they write down what happened a moment later. */
const toleranceMs = 250
const evenness = 0.15

type FleetHistory = Pick<History, 'connections' | 'claims' | 'shares' | 'unconnected' | 'leftovers'>

export function checkFleet({ connections, claims, shares, unconnected, leftovers }: FleetHistory): Violation[] {
  return [
    ...checkFrames(connections, claims),
    ...checkEpochs(claims),
    ...checkShares(shares),
    ...unconnected.map(({ sessionId, text }) => ({ rule: 'unconnected' as const, sessionId, text })),
    ...leftovers.map((text) => ({ rule: 'left_over' as const, text })),
  ]
}

/** From the moment of a higher epoch's claim not one byte may leave through a connection of a lower one. */
function checkFrames(connections: readonly Connection[], claims: readonly Claim[]): Violation[] {
  const bySession = Map.groupBy(claims, ({ sessionId }) => sessionId)
  return connections.flatMap(({ sessionId, epoch, openedAt, lastByteAt, lagMs }) => {
    const next = (bySession.get(sessionId) ?? [])
      .filter((claim) => claim.epoch > epoch)
      .reduce<Claim | undefined>((first, claim) => (first && first.at <= claim.at ? first : claim), undefined)
    if (!next || lastByteAt <= next.at + toleranceMs + lagMs) return []
    const late = lastByteAt - next.at
    const text =
      `a connection of epoch ${epoch}, opened at ${iso(openedAt)}, wrote ${late} ms after process ${next.workerPid}` +
      ` had claimed epoch ${next.epoch} at ${iso(next.at)}`
    return [{ rule: 'stale_frame' as const, sessionId, text }]
  })
}

/** One epoch is one holder's, and epochs rise. */
function checkEpochs(claims: readonly Claim[]): Violation[] {
  const violations: Violation[] = []
  for (const [sessionId, its] of Map.groupBy(claims, (claim) => claim.sessionId)) {
    const inOrder = its.toSorted((a, b) => a.at - b.at || a.epoch - b.epoch)
    for (const [index, claim] of inOrder.entries()) {
      const before = inOrder[index - 1]
      if (!before || before.epoch < claim.epoch) continue
      const text = `process ${claim.workerPid} claimed epoch ${claim.epoch} after process ${before.workerPid} had claimed ${before.epoch}`
      violations.push({ rule: 'two_holders', sessionId, text })
    }
  }
  return violations
}

function checkShares(shares: FleetHistory['shares']): Violation[] {
  const even = shares.reduce((sum, { held }) => sum + held, 0) / shares.length
  const allowed = Math.max(1, even * evenness)
  if (shares.every(({ held }) => Math.abs(held - even) <= allowed)) return []
  const text = shares.map(({ workerPid, held }) => `process ${workerPid} holds ${held}`).join(', ')
  return [{ rule: 'uneven', text: `${text}; ${even.toFixed(1)} each would be even` }]
}

function iso(at: number): string {
  return new Date(at).toISOString()
}
