// What many jobs write, together: in one write, each told of its own outcome, and patient with a store that pauses.
import { expect, test } from 'vitest'
import { AppError } from '../../src/platform/errors.ts'
import type { AttemptRecord } from '../../src/store/event-store.ts'
import { BatchedWrites } from '../../src/webhooks/batched-writes.ts'

const recordOf = (n: number): AttemptRecord => ({
  deliveryId: `dlv_${n}`,
  attempt: { at: n, status: 200, durationMs: 1, error: null, answer: '' },
  next: { status: 'succeeded', nextAttemptAt: null },
})

/** A store that notes what it is given, unless `refuse` throws. */
function openLog(refuse: (records: readonly AttemptRecord[], write: number) => void = () => undefined) {
  const writes: string[][] = []
  let tries = 0
  const recordAttempts = async (records: readonly AttemptRecord[]) => {
    refuse(records, ++tries)
    writes.push(records.map(({ deliveryId }) => deliveryId))
  }
  return { log: new BatchedWrites(recordAttempts), writes }
}

test('those of one moment are one write, and a later one has its own', async () => {
  const { log, writes } = openLog()
  await Promise.all([1, 2, 3].map((n) => log.add(recordOf(n))))
  await log.add(recordOf(4))
  expect(writes).toEqual([['dlv_1', 'dlv_2', 'dlv_3'], ['dlv_4']])
})

test('a crowd is not one write', async () => {
  const { log, writes } = openLog()
  await Promise.all(Array.from({ length: 250 }, (_, n) => log.add(recordOf(n))))
  expect(writes.map((ids) => ids.length)).toEqual([100, 100, 50])
})

test('one that cannot be written takes none of the others with it', async () => {
  const { log, writes } = openLog((records) => {
    if (records.some(({ deliveryId }) => deliveryId === 'dlv_2')) throw new Error('refused')
  })
  const outcomes = await Promise.allSettled([1, 2, 3].map((n) => log.add(recordOf(n))))
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(writes).toEqual([['dlv_1'], ['dlv_3']])
})

test.each(['store_unavailable', 'accept_outcome_unknown'] as const)(
  '%s: a store that is away for a moment is asked again, with all of them',
  async (code) => {
    const { log, writes } = openLog((_, write) => {
      if (write <= 2) throw new AppError(code)
    })
    await Promise.all([1, 2].map((n) => log.add(recordOf(n))))
    expect(writes).toEqual([['dlv_1', 'dlv_2']])
  },
)
