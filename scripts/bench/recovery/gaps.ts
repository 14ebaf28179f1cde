// Times of sessions between two of their lines in the log, and what is said of many times.
import { setTimeout as delay } from 'node:timers/promises'
import type { WorkerFleet } from '../rig/worker-fleet.ts'

export type Result = Record<string, unknown>

const waitMs = 120_000

/**
 * Milliseconds from `at` until each of these was connected again.
 * @throws Error when one of them was not within two minutes
 */
export async function untilConnected(fleet: WorkerFleet, at: number, sessionIds: readonly string[]): Promise<number[]> {
  const end = Date.now() + waitMs
  for (;;) {
    await fleet.allConnected()
    const back = await firstTimes(fleet, at, 'session.changed', ({ status }) => status === 'connected')
    const missing = sessionIds.filter((id) => !back.has(id))
    if (missing.length === 0) return sessionIds.map((id) => (back.get(id) ?? 0) - at)
    if (Date.now() > end) throw new Error(`${missing.length} of ${sessionIds.length} sessions did not come back`)
    await delay(100)
  }
}

/** From the moment that process began to close each socket it gave away to `connected` elsewhere. */
export async function gapsOfReleased(fleet: WorkerFleet, at: number, leaverPid: number): Promise<number[]> {
  const lines = await fleet.linesSince(at, ['lease.released', 'session.changed'])
  const released = lines.filter(({ msg, pid }) => msg === 'lease.released' && pid === leaverPid)
  return released.flatMap(({ sessionId, at: releasedAt, closedForMs }) => {
    if (typeof closedForMs !== 'number') return []
    const next = lines.find((line) => line.sessionId === sessionId && line['status'] === 'connected' && line.pid !== leaverPid)
    return next ? [next.at - releasedAt + closedForMs] : []
  })
}

/** When each session first logged such a line, in milliseconds since 1970. */
export async function firstTimes(
  fleet: WorkerFleet,
  since: number,
  name: string,
  isMeant: (line: Record<string, unknown>) => boolean = () => true,
): Promise<Map<string, number>> {
  const first = new Map<string, number>()
  for (const line of await fleet.linesSince(since, [name])) {
    if (isMeant(line) && !first.has(line.sessionId)) first.set(line.sessionId, line.at)
  }
  return first
}

export function spread(values: readonly number[]): Result {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? null
  return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), mostMs: at(1) }
}

export function mostWithin(times: readonly number[], ms: number): number {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted.reduce((most, time, index) => Math.max(most, sorted.slice(index).filter((other) => other < time + ms).length), 0)
}
