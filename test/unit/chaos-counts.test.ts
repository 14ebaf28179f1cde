// What a chaos run went through, as it is counted, and what a seed plans.
import { describe, expect, test } from 'vitest'
import { countHistory, countLines, requiredCounts } from '../../scripts/chaos/count-paths.ts'
import { endings, plannedKinds, planFaults } from '../../scripts/chaos/schedule.ts'
import { goodHistory, session } from '../support/chaos-history.ts'

describe('what a run went through is counted', () => {
  const seen = { retryReceipts: 0, quarantines: 0, repeatedRequests: 0 }
  const frame = (at: number, socket: number) => ({
    at,
    socket,
    sessionId: session,
    whatsappId: 'A',
    refusedWith: null,
    isAcked: true,
  })

  test.each([
    { what: 'the next holder', frames: [frame(1_900, 1), frame(2_100, 2)], name: 'repeated_by_next_holder' },
    { what: 'the same holder on a new socket', frames: [frame(2_100, 2), frame(2_200, 3)], name: 'repeated_on_new_socket' },
    { what: 'an answer to a retry receipt', frames: [frame(2_100, 2), frame(2_200, 2)], name: 'repeated_on_same_socket' },
  ])('a repeated id: $what', ({ frames, name }) => {
    const counts = countHistory({ ...goodHistory(), frames }, seen)
    const repeats = Object.entries(counts).filter(([key, count]) => key.startsWith('repeated_') && count > 0)
    expect(repeats).toEqual([[name, 1]])
  })

  test('log lines, by what they say', () => {
    const line = (msg: string, fields = {}) => ({ time: '', pid: 1, process: 'session-worker', msg, ...fields })
    const lines = [
      line('queue.recovered', { reclaimedCount: 1, isRepaired: false }),
      line('session.fenced', { reason: 'superseded' }),
    ]
    expect(countLines(lines)).toMatchObject({ jobs_reclaimed: 1, queues_repaired: 0, fenced_writes: 1, lease_trust_lost: 0 })
  })

  test('a long run has to see every kind of fault and of end', () => {
    const kinds = plannedKinds({ seed: 1, durationMs: 0, sessionCount: 30, workerCount: 3, leaseTtlMs: 6_000 })
    const required = requiredCounts(kinds, endings)
    for (const name of [
      'kill_worker_unacked',
      'end_session_login_401',
      'repeated_by_next_holder',
      'retry_receipts',
      'quarantines',
    ])
      expect(required).toContain(name)
    expect(new Set(required).size).toBe(required.length)
  })

  test('the same seed plans the same faults, another one others', () => {
    const plan = (seed: number) => planFaults({ seed, durationMs: 600_000, sessionCount: 30, workerCount: 3, leaseTtlMs: 6_000 })
    expect(plan(7)).toEqual(plan(7))
    expect(plan(8)).not.toEqual(plan(7))
  })
})
