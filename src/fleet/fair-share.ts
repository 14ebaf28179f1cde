// How many sessions this worker should hold, which ones it prefers, and how many it gives away to those that have too few.
import type { WorkerView } from '../sessions/worker-heartbeat.ts'

type Share = Pick<WorkerView, 'incarnation' | 'held' | 'capacity' | 'draining'>

/** How far above an even share a worker may claim, so that shares need not be exact. */
const claimAbove = 1.1
/** Below this part of an even share a worker is helped by the others. */
const needyBelow = 0.9
/** Part of its sessions that a worker gives away in one round. */
const releasePart = 0.04

/** The even share per worker that takes sessions: those whose capacity is smaller hold that much, the others share the rest. */
export function evenShare(workers: readonly Share[], total: number): number {
  const capacities = workers
    .filter(({ draining }) => !draining)
    .map(({ capacity }) => capacity)
    .toSorted((a, b) => a - b)
  let left = total
  for (const [index, capacity] of capacities.entries()) {
    const even = left / (capacities.length - index)
    if (even <= capacity) return even
    left -= capacity
  }
  return capacities.at(-1) ?? 0
}

/** The most that `me` may hold by claiming. */
export function claimCap(me: Share, workers: readonly Share[], total: number): number {
  if (me.draining) return 0
  return Math.min(me.capacity, Math.ceil(evenShare(workers, total) * claimAbove))
}

/** Rendezvous hashing: the worker that should hold it, the same for all who ask; few change when a worker comes or goes. */
export function preferredWorker(sessionId: string, workers: readonly Share[]): string | null {
  let best: { incarnation: string; weight: number } | null = null
  for (const { incarnation, draining } of workers) {
    if (draining) continue
    const weight = hash(`${sessionId} ${incarnation}`)
    if (!best || weight > best.weight || (weight === best.weight && incarnation > best.incarnation))
      best = { incarnation, weight }
  }
  return best?.incarnation ?? null
}

/** FNV-1a with a final mix: 32 bits, spread well enough to share sessions out. */
function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/**
 * Who should get one session each from `me` in this round, the neediest first; empty when shares are even enough. Never brings `me` below
 * the even share, and never gives more than is missing.
 */
export function giveAway(me: Share, workers: readonly Share[], total: number): string[] {
  if (me.draining) return []
  const even = evenShare(workers, total)
  const target = (worker: Share) => Math.min(worker.capacity, Math.floor(even))
  const takers = workers.filter(({ draining }) => !draining)
  const needy = takers
    .filter((worker) => worker.held < needyBelow * Math.min(even, worker.capacity) && worker.held < target(worker))
    .map((worker) => ({ incarnation: worker.incarnation, missing: target(worker) - worker.held }))
  const surplusOf = (worker: Share) => Math.max(0, worker.held - Math.ceil(even))
  const mine = surplusOf(me)
  if (needy.length === 0 || mine === 0) return []
  const missing = needy.reduce((sum, worker) => sum + worker.missing, 0)
  const surplus = takers.reduce((sum, worker) => sum + surplusOf(worker), 0)
  const part = Math.ceil((missing * mine) / surplus)
  const count = Math.min(mine, part, Math.max(1, Math.floor(me.held * releasePart)))
  const receivers: string[] = []
  while (receivers.length < count) {
    needy.sort((a, b) => b.missing - a.missing || (a.incarnation < b.incarnation ? -1 : 1))
    const neediest = needy[0]
    if (!neediest || neediest.missing <= 0) break
    neediest.missing -= 1
    receivers.push(neediest.incarnation)
  }
  return receivers
}
