// How often the paths that a run is there to prove were really taken, from its history and the logs.
import type { Claim, History } from './check/history.ts'
import { describeEnding, type Ending } from './schedule.ts'
import type { Line } from './read-logs.ts'

/** Log lines that prove a path, by the name they are counted under. */
const provedBy: Readonly<Record<string, { msg: string; when?: (line: Line) => boolean }>> = {
  lease_trust_lost: { msg: 'lease.trust_lost' },
  leases_restored: { msg: 'lease.restoring' },
  fenced_writes: { msg: 'session.fenced', when: ({ reason }) => reason === 'superseded' },
  outcomes_unknown: { msg: 'message.outcome_unknown' },
  jobs_reclaimed: { msg: 'queue.recovered', when: ({ reclaimedCount }) => Number(reclaimedCount) > 0 },
  queues_repaired: { msg: 'queue.recovered', when: ({ isRepaired }) => isRepaired === true },
  deaf_sockets: { msg: 'watchdog.found_deaf' },
  network_outages: { msg: 'network.lost' },
  dead_workers_found: { msg: 'worker.found_dead' },
  handovers: { msg: 'fleet.handed_over' },
  store_writes_repeated: { msg: 'store.write_repeated' },
}

/** Messages of the log lines that `countLines` looks at. */
export const countedMessages: ReadonlySet<string> = new Set(Object.values(provedBy).map(({ msg }) => msg))

export function countLines(lines: readonly Line[]): Record<string, number> {
  const byMessage = Map.groupBy(lines, ({ msg }) => msg)
  return Object.fromEntries(
    Object.entries(provedBy).map(([name, { msg, when }]) => [
      name,
      (byMessage.get(msg) ?? []).filter((line) => when?.(line) ?? true).length,
    ]),
  )
}

/** Beside those of the log. */
export function countHistory(
  history: Pick<History, 'claims' | 'frames' | 'events' | 'endings'>,
  seen: { retryReceipts: number; quarantines: number; repeatedRequests: number },
): Record<string, number> {
  const { claims, frames, events, endings } = history
  return {
    takeovers: claims.filter(({ epoch }) => epoch > 1).length,
    ...countRepeats(frames, claims),
    acks_dropped: frames.filter(({ isAcked, refusedWith }) => !isAcked && refusedWith === null).length,
    refused_with_463: frames.filter(({ refusedWith }) => refusedWith === 463).length,
    refused_otherwise: frames.filter(({ refusedWith }) => refusedWith !== null && refusedWith !== 463).length,
    retry_receipts: seen.retryReceipts,
    quarantines: seen.quarantines,
    requests_repeated: seen.repeatedRequests,
    webhooks_repeated: events.length - new Set(events.map(({ webhookId }) => webhookId)).size,
    sessions_brought_back: endings.filter(({ problem }) => problem === null).length,
  }
}

/** Every kind of end, so that none can be missed for another. */
export function countEndings(endings: History['endings']): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { kind, problem } of endings) {
    const name = `end_session_${kind}`
    counts[name] = (counts[name] ?? 0) + (problem === null ? 1 : 0)
  }
  return counts
}

/** Receipts and acks are so fast that these may stay away by chance: nobody has to wait for them. */
const byChance = new Set(['webhooks_repeated', 'store_writes_repeated'])

/** What a run that is long enough must have seen. */
export function requiredCounts(kinds: Iterable<string>, endings: readonly Ending[]): string[] {
  const none = { claims: [], frames: [], events: [], endings: [] }
  const paths = { ...countLines([]), ...countHistory(none, { retryReceipts: 0, quarantines: 0, repeatedRequests: 0 }) }
  const ends = endings.map((ending) => `end_session_${describeEnding(ending)}`)
  return [...new Set([...kinds, ...Object.keys(paths).filter((name) => !byChance.has(name)), ...ends])]
}

/** An id once more: by the next holder, by the same one on another socket, or because the phone asked for it. */
function countRepeats(frames: History['frames'], claims: readonly Claim[]): Record<string, number> {
  const counts = { repeated_by_next_holder: 0, repeated_on_new_socket: 0, repeated_on_same_socket: 0 }
  const bySession = Map.groupBy(claims, ({ sessionId }) => sessionId)
  const epochAt = (sessionId: string, at: number) =>
    (bySession.get(sessionId) ?? []).reduce((highest, claim) => (claim.at <= at ? Math.max(highest, claim.epoch) : highest), 0)
  const first = new Map<string, History['frames'][number]>()
  for (const frame of frames) {
    const before = first.get(frame.whatsappId)
    first.set(frame.whatsappId, frame)
    if (!before) continue
    if (epochAt(frame.sessionId, before.at) !== epochAt(frame.sessionId, frame.at)) counts.repeated_by_next_holder += 1
    else if (before.socket === frame.socket) counts.repeated_on_same_socket += 1
    else counts.repeated_on_new_socket += 1
  }
  return counts
}
