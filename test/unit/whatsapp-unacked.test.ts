// Which send the server itself has not acknowledged, whatever receipts have proved.
import { expect, test } from 'vitest'
import { PendingAcks } from '../../src/whatsapp/pending-acks.ts'

test('a receipt settles a send and leaves it unacked; the ack of a later one ends that too', async () => {
  const acks = new PendingAcks()
  expect(acks.unackedSince).toBeNull()
  const [first, second] = [acks.expect('A', 10_000), acks.expect('B', 10_000)]
  const since = acks.unackedSince
  acks.acked('A', null, 1)
  expect(await first).toEqual({ kind: 'acked', at: 1 })
  expect(acks.unackedSince).toBe(since)
  acks.heard('unknown')
  expect(acks.unackedSince).toBe(since)
  acks.heard('B')
  acks.acked('B', null, 2)
  expect(await second).toEqual({ kind: 'acked', at: 2 })
  expect(acks.unackedSince).toBeNull()
})

test('what was given up, refused or never left is not waited for', async () => {
  const acks = new PendingAcks()
  await acks.expect('late', 0)
  expect(acks.unackedSince).toBeNull()
  const refused = acks.expect('refused', 10_000)
  acks.heard('refused')
  acks.acked('refused', 463, 1)
  await refused
  const failed = acks.expect('failed', 10_000)
  acks.fail('failed', 'closed')
  await failed
  expect(acks.unackedSince).toBeNull()
})
