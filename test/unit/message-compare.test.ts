// The repair of a send queue: what is planned always ends in the order of the store, moving only what must move.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { planRepair, type QueueRepair } from '../../src/messages/compare-queue.ts'
import type { WaitingJob } from '../../src/messages/send-queue.ts'
import { lanes, type UnfinishedMessage } from '../../src/store/message-store.ts'

const now = 1_000_000
const nothing: QueueRepair = { removed: [], ahead: [], own: [] }

function row(sequence: number, more: Partial<UnfinishedMessage> = {}): UnfinishedMessage {
  const recipient = '254700000001@s.whatsapp.net'
  return { id: `m${sequence}`, sequence, priority: 'normal', status: 'queued', recipient, heldUntil: null, ...more }
}

function job(sequence: number, more: Partial<WaitingJob> = {}): WaitingJob {
  return { id: `m${sequence}`, lane: 'normal', isAhead: false, ...more }
}

const ahead = (sequence: number) => job(sequence, { isAhead: true })

/** The order in which BullMQ would run them. */
function inOrder(jobs: readonly WaitingJob[]): WaitingJob[] {
  return lanes.flatMap((lane) =>
    [true, false].flatMap((isAhead) => jobs.filter((each) => each.lane === lane && each.isAhead === isAhead)),
  )
}

/** What BullMQ does with a plan: removed jobs go, added ones stand at an end, and one that is there already stays where it is. */
function carriedOut(waiting: readonly WaitingJob[], { removed, ahead: first, own }: QueueRepair): WaitingJob[] {
  const jobs = waiting.filter(({ id }) => !removed.includes(id))
  for (const [rows, isAhead] of [
    [first, true],
    [own, false],
  ] as const) {
    for (const { id, priority } of rows) if (!jobs.some((each) => each.id === id)) jobs.push({ id, lane: priority, isAhead })
  }
  return inOrder(jobs)
}

test('a queue that is as the store says is left alone', () => {
  expect(planRepair([job(1), job(2), job(3)], [row(1), row(2), row(3)], now)).toEqual(nothing)
})

test('a missing message at the end is only added', () => {
  expect(planRepair([job(1)], [row(1), row(2)], now)).toEqual({ ...nothing, own: [row(2)] })
})

test('a missing message that is older than all others is added ahead of them, and none of them moves', () => {
  expect(planRepair([job(3), job(4)], [row(1), row(2), row(3), row(4)], now)).toEqual({ ...nothing, ahead: [row(1), row(2)] })
  expect(planRepair([ahead(2), job(4)], [row(2), row(3), row(4)], now)).toEqual({ ...nothing, ahead: [row(3)] })
})

test('of those that stand ahead, only the ones behind a missing one are added anew after it', () => {
  expect(planRepair([ahead(1), ahead(3), job(9)], [row(1), row(2), row(3), row(9)], now)).toEqual({
    removed: ['m3'],
    ahead: [row(2), row(3)],
    own: [],
  })
})

test('everything behind a message that is missing in the middle is added anew after it', () => {
  expect(planRepair([job(1), job(3), job(4)], [row(1), row(2), row(3), row(4)], now)).toEqual({
    removed: ['m3', 'm4'],
    ahead: [],
    own: [row(2), row(3), row(4)],
  })
})

test('a message that stands before an older one is moved, the older one is not', () => {
  expect(planRepair([job(2), job(1)], [row(1), row(2)], now)).toEqual({ removed: ['m2'], ahead: [], own: [row(2)] })
})

test('a job whose message has ended is removed, and one in the place of another lane is moved', () => {
  expect(planRepair([job(1), job(2)], [row(2)], now)).toEqual({ ...nothing, removed: ['m1'] })
  const high = row(1, { priority: 'high' })
  expect(planRepair([job(1)], [high], now)).toEqual({ removed: ['m1'], ahead: [], own: [high] })
})

test('a message held back is neither missed nor removed until its time has come, and then stands first', () => {
  expect(planRepair([job(2)], [row(1, { heldUntil: now + 1 }), row(2)], now)).toEqual(nothing)
  expect(planRepair([job(1), job(2)], [row(1), row(2, { heldUntil: now + 1 })], now)).toEqual(nothing)
  const returned = row(1, { heldUntil: now })
  expect(planRepair([job(2)], [returned, row(2)], now)).toEqual({ ...nothing, ahead: [returned] })
})

test('what comes back is put ahead of a queue of which nothing else is known; what waits in its place stays there', () => {
  const [first, second] = [row(1, { heldUntil: now }), row(5, { heldUntil: now })]
  expect(planRepair([], [first, second], now, 'returning')).toEqual({ ...nothing, ahead: [first, second] })
  expect(planRepair([job(5)], [first, second], now, 'returning')).toEqual({ ...nothing, ahead: [first] })
  expect(planRepair([ahead(5)], [first, second], now, 'returning')).toEqual({
    removed: ['m5'],
    ahead: [first, second],
    own: [],
  })
})

test('lanes do not disturb each other', () => {
  const rows = [row(1, { priority: 'bulk' }), row(2), row(3, { priority: 'high' }), row(4)]
  const waiting = [job(3, { lane: 'high' }), job(2), job(4), job(1, { lane: 'bulk' })]
  expect(planRepair(waiting, rows, now)).toEqual(nothing)
})

test('whatever the queue holds, the repaired one is the store’s order and needs no other repair', () => {
  const stored = fc.array(fc.record({ priority: fc.constantFrom(...lanes), hold: fc.constantFrom(null, now - 1, now + 1) }), {
    maxLength: 20,
  })
  const queued = fc.uniqueArray(fc.record({ n: fc.nat(24), lane: fc.constantFrom(...lanes), isAhead: fc.boolean() }), {
    maxLength: 25,
    selector: ({ n }) => n,
  })
  fc.assert(
    fc.property(stored, queued, (specs, jobs) => {
      const rows = specs.map(({ priority, hold }, i) => row(i, { priority, heldUntil: hold }))
      const waiting = inOrder(jobs.map(({ n, lane, isAhead }) => ({ id: `m${n}`, lane, isAhead })))
      const repaired = carriedOut(waiting, planRepair(waiting, rows, now))
      const isHeld = (id: string) => (rows.find((each) => each.id === id)?.heldUntil ?? 0) > now
      const sent = repaired.map(({ id }) => id).filter((id) => !isHeld(id))
      expect(sent).toEqual(
        lanes.flatMap((lane) => rows.filter((each) => each.priority === lane && !isHeld(each.id)).map(({ id }) => id)),
      )
      expect(planRepair(repaired, rows, now)).toEqual(nothing)
    }),
    { numRuns: 1_000 },
  )
})
