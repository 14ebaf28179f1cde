// The repair of a send queue: what is planned always ends in the order of the store, moving only what must move.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { planRepair, type QueueRepair } from '../../src/messages/compare-queue.ts'
import { priorityOf } from '../../src/messages/send-queue.ts'
import { lanes, type Lane, type UnfinishedMessage } from '../../src/store/message-store.ts'

const now = 1_000_000

function row(sequence: number, more: Partial<UnfinishedMessage> = {}): UnfinishedMessage {
  const recipient = '254700000001@s.whatsapp.net'
  return { id: `m${sequence}`, sequence, priority: 'normal', status: 'queued', recipient, heldUntil: null, ...more }
}

/** What BullMQ does with a plan: removed jobs go, added ones stand at the end of their lane. */
function carriedOut(waiting: readonly string[], repair: QueueRepair, laneOf: (id: string) => Lane): string[] {
  const gone = new Set([...repair.removed, ...repair.moved])
  const queue = waiting.filter((id) => !gone.has(id))
  for (const { id } of repair.added) if (!queue.includes(id)) queue.push(id)
  return queue.toSorted((a, b) => priorityOf[laneOf(a)] - priorityOf[laneOf(b)])
}

test('a queue that is as the store says is left alone', () => {
  expect(planRepair(['m1', 'm2', 'm3'], [row(1), row(2), row(3)], now)).toEqual({ removed: [], added: [], moved: [] })
})

test('a missing message at the end is only added', () => {
  expect(planRepair(['m1'], [row(1), row(2)], now)).toEqual({ removed: [], added: [row(2)], moved: [] })
})

test('everything behind a missing message is added anew after it', () => {
  const repair = planRepair(['m1', 'm3', 'm4'], [row(1), row(2), row(3), row(4)], now)
  expect(repair).toEqual({ removed: [], added: [row(2), row(3), row(4)], moved: ['m3', 'm4'] })
})

test('a message that stands before an older one is moved, the older one is not', () => {
  expect(planRepair(['m2', 'm1'], [row(1), row(2)], now)).toEqual({ removed: [], added: [row(2)], moved: ['m2'] })
})

test('a job whose message has ended is removed', () => {
  expect(planRepair(['m1', 'm2'], [row(2)], now)).toEqual({ removed: ['m1'], added: [], moved: [] })
})

test('a message held back is no part of the queue until its time has come', () => {
  expect(planRepair(['m2'], [row(1, { heldUntil: now + 1 }), row(2)], now)).toEqual({ removed: [], added: [], moved: [] })
  const returned = row(1, { heldUntil: now })
  expect(planRepair(['m2'], [returned, row(2)], now)).toEqual({ removed: [], added: [returned, row(2)], moved: ['m2'] })
})

test('lanes do not disturb each other', () => {
  const rows = [row(1, { priority: 'bulk' }), row(2), row(3, { priority: 'high' }), row(4)]
  expect(planRepair(['m3', 'm2', 'm4', 'm1'], rows, now)).toEqual({ removed: [], added: [], moved: [] })
})

test('whatever the queue holds, the repaired one is the store’s order and needs no other repair', () => {
  const stored = fc.array(fc.record({ priority: fc.constantFrom(...lanes), isHeld: fc.boolean() }), { maxLength: 20 })
  const queued = fc.array(fc.nat(24), { maxLength: 25 })
  fc.assert(
    fc.property(stored, queued, (specs, order) => {
      const rows = specs.map(({ priority, isHeld }, i) => row(i, { priority, heldUntil: isHeld ? now + 1 : null }))
      const laneOf = (id: string) => rows.find((each) => each.id === id)?.priority ?? 'normal'
      const waiting = [...new Set(order)].map((n) => `m${n}`).toSorted((a, b) => priorityOf[laneOf(a)] - priorityOf[laneOf(b)])
      const repaired = carriedOut(waiting, planRepair(waiting, rows, now), laneOf)
      const expected = lanes.flatMap((lane) =>
        rows.filter((each) => each.priority === lane && each.heldUntil === null).map((each) => each.id),
      )
      expect(repaired).toEqual(expected)
      expect(planRepair(repaired, rows, now)).toEqual({ removed: [], added: [], moved: [] })
    }),
  )
})
