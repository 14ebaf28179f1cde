// Shares of the fleet: even, within capacity, stable, and reached by giving away no more than needed.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { claimCap, evenShare, giveAway, preferredWorker } from '../../src/fleet/fair-share.ts'

const share = (incarnation: string, held: number, capacity = 1_000, draining = false) => ({
  incarnation,
  held,
  capacity,
  draining,
})
const fleet = fc
  .array(fc.record({ held: fc.nat(300), capacity: fc.integer({ min: 1, max: 400 }), draining: fc.boolean() }), {
    minLength: 1,
    maxLength: 8,
  })
  .map((workers) =>
    workers.map((worker, i) => ({ ...worker, incarnation: `w${i}`, held: Math.min(worker.held, worker.capacity) })),
  )

test('what is even respects small capacities', () => {
  expect(evenShare([share('a', 0), share('b', 0), share('c', 0)], 300)).toBe(100)
  expect(evenShare([share('a', 0, 20), share('b', 0)], 120)).toBe(100)
  expect(evenShare([share('a', 0), share('b', 0, 1_000, true)], 50)).toBe(50)
  expect(evenShare([], 50)).toBe(0)
})

test('all workers together may always claim all sessions that fit', () => {
  fc.assert(
    fc.property(fleet, fc.nat(2_000), (workers, total) => {
      const room = workers.filter(({ draining }) => !draining).reduce((sum, { capacity }) => sum + capacity, 0)
      const caps = workers.map((worker) => claimCap(worker, workers, total))
      expect(caps.reduce((sum, cap) => sum + cap, 0)).toBeGreaterThanOrEqual(Math.min(room, total))
      for (const [i, cap] of caps.entries()) expect(cap).toBeLessThanOrEqual(workers[i]?.capacity ?? 0)
    }),
  )
})

test('preferences are even, the same for all who ask, and change only for sessions of the worker that comes or goes', () => {
  const three = ['a', 'b', 'c'].map((name) => share(`host-${name}-1`, 0))
  const ids = Array.from({ length: 3_000 }, (_, i) => `ses_${i}`)
  const counts = new Map<string | null, number>()
  for (const id of ids) {
    const before = preferredWorker(id, three)
    counts.set(before, (counts.get(before) ?? 0) + 1)
    expect(preferredWorker(id, three.toReversed())).toBe(before)
    const after = preferredWorker(id, [...three, share('host-d-1', 0)])
    expect([before, 'host-d-1']).toContain(after)
  }
  for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(120)
  expect(preferredWorker('ses_1', [share('a', 0, 10, true)])).toBeNull()
})

/** Rounds in which every worker gives away by what it knew at the start of the round. */
function rounds(workers: ReturnType<typeof share>[], total: number, limit: number): { moves: number; roundCount: number } {
  let moves = 0
  for (let round = 0; round < limit; round++) {
    const known = structuredClone(workers)
    const given = known.flatMap((me) => giveAway(me, known, total).map((to) => ({ from: me.incarnation, to })))
    if (given.length === 0) return { moves, roundCount: round }
    for (const { from, to } of given) {
      for (const worker of workers) {
        if (worker.incarnation === from) worker.held -= 1
        if (worker.incarnation === to) worker.held += 1
      }
    }
    moves += given.length
  }
  return { moves, roundCount: limit }
}

test('2 → 3 workers with 300 sessions are even within 30 rounds, and hardly more than 100 sessions move', () => {
  const workers = [share('a', 150), share('b', 150), share('c', 0)]
  const { moves, roundCount } = rounds(workers, 300, 30)
  expect(roundCount).toBeLessThan(30)
  for (const { held } of workers) expect(Math.abs(held - 100)).toBeLessThanOrEqual(10)
  expect(moves).toBeLessThanOrEqual(100)
})

test('shares end within 15 % of even, or one session, however they were', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(300), { minLength: 1, maxLength: 8 }), (held) => {
      const workers = held.map((count, i) => share(`w${i}`, count))
      const total = held.reduce((sum, count) => sum + count, 0)
      rounds(workers, total, 2_000)
      const even = total / workers.length
      for (const worker of workers) expect(Math.abs(worker.held - even)).toBeLessThanOrEqual(Math.max(1, even * 0.15))
    }),
  )
})

test('two that round up do not fill the same place', () => {
  const workers = [share('a', 39, 40), share('b', 1, 1), share('c', 39, 43), share('d', 2, 3)]
  const given = workers.flatMap((me) => giveAway(me, workers, 81))
  expect(given).toEqual(['d'])
})

test('giving away ends, never overfills, and never leaves a giver below its share', () => {
  fc.assert(
    fc.property(fleet, (workers) => {
      const total = workers.reduce((sum, { held }) => sum + held, 0)
      const even = evenShare(workers, total)
      const before = structuredClone(workers)
      rounds(workers, total, 2_000)
      for (const [i, worker] of workers.entries()) {
        const first = before[i]?.held ?? 0
        expect(worker.held).toBeGreaterThanOrEqual(Math.min(first, Math.floor(even)))
        expect(worker.held).toBeLessThanOrEqual(Math.max(first, worker.capacity))
      }
      expect(rounds(workers, total, 1).moves).toBe(0)
    }),
  )
})
