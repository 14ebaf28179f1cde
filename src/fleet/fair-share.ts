// How many sessions this worker should hold, which ones it prefers, and how many it gives away to those that have too few.
import type { WorkerView } from '../sessions/worker-heartbeat.ts'

type Share = Pick<WorkerView, 'incarnation' | 'held' | 'capacity' | 'draining'>

/** How far above an even share a worker may be, so that shares need not be exact. */
const crowdedAbove = 1.1
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
  return Math.min(me.capacity, mostOf(evenShare(workers, total)))
}

/** What nobody needs to be helped with: shares of few sessions cannot be closer than one. */
function mostOf(even: number): number {
  return Math.max(Math.ceil(even), Math.floor(even * crowdedAbove))
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
 * Who should get one session each from `me` in this round, the neediest first; empty when shares are even enough: nobody has far too few,
 * and `me` not too many. Never brings `me` below the even share (rounded down), and never gives more than is missing.
 */
export function giveAway(me: Share, workers: readonly Share[], total: number): string[] {
  if (me.draining) return []
  const even = evenShare(workers, total)
  const takers = workers.filter(({ draining }) => !draining)
  const isNeedy = (worker: Share) => worker.held < needyBelow * Math.min(even, worker.capacity)
  const someNeed = missingIn(takers.filter(isNeedy), Math.floor(even))
  if (someNeed.length > 0) {
    const keep = takers.some(({ held }) => held > Math.ceil(even)) ? Math.ceil(even) : Math.floor(even)
    return share(me, takers, { missing: someNeed, keep })
  }
  if (me.held <= mostOf(even)) return []
  const others = takers.filter(({ incarnation, held }) => incarnation !== me.incarnation && held < even)
  return share(me, takers, { missing: missingIn(others, Math.ceil(even)), keep: mostOf(even) })
}

function missingIn(workers: readonly Share[], target: number): { incarnation: string; count: number }[] {
  return workers
    .map(({ incarnation, held, capacity }) => ({ incarnation, count: Math.min(capacity, target) - held }))
    .filter(({ count }) => count > 0)
}

/**
 * This worker's part of what is missing, as large as its part of all that is above `keep`. Each giver plays all of them, in the same order:
 * those that round up must not fill the same place twice.
 */
function share(
  me: Share,
  workers: readonly Share[],
  { missing, keep }: { missing: { incarnation: string; count: number }[]; keep: number },
): string[] {
  const givers = workers
    .map(({ incarnation, held }) => ({ incarnation, held, surplus: Math.max(0, held - keep) }))
    .filter(({ surplus }) => surplus > 0)
    .toSorted((a, b) => b.surplus - a.surplus || (a.incarnation < b.incarnation ? -1 : 1))
  const surplusOfAll = givers.reduce((sum, { surplus }) => sum + surplus, 0)
  const needed = missing.reduce((sum, { count }) => sum + count, 0)
  for (const { incarnation, held, surplus } of givers) {
    const part = Math.ceil((needed * surplus) / surplusOfAll)
    const receivers = takePlaces(missing, Math.min(surplus, part, Math.max(1, Math.floor(held * releasePart))))
    if (incarnation === me.incarnation) return receivers
  }
  return []
}

/** One place after the other, of whom most are missing; takes them from `missing`. */
function takePlaces(missing: { incarnation: string; count: number }[], count: number): string[] {
  const receivers: string[] = []
  while (receivers.length < count) {
    missing.sort((a, b) => b.count - a.count || (a.incarnation < b.incarnation ? -1 : 1))
    const neediest = missing[0]
    if (!neediest || neediest.count <= 0) break
    neediest.count -= 1
    receivers.push(neediest.incarnation)
  }
  return receivers
}
