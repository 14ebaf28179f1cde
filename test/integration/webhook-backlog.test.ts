// What waits for receivers that are down, slow or many waits in the store: Redis holds little of it, and it comes back by itself.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { breakerDefaults } from '../../src/webhooks/endpoint-breaker.ts'
import { EndpointRooms } from '../../src/webhooks/endpoint-room.ts'
import { retryDeliveries } from '../../src/webhooks/retry-deliveries.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { waitFor } from '../support/wait.ts'
import { draft, silentLog, startWebhookBench, type WebhookBench } from '../support/webhooks.ts'

let bench: WebhookBench
let receiver: Receiver
beforeEach(async () => {
  receiver = await startReceiver()
})
afterEach(async () => {
  await bench.close()
  await receiver.close()
})

const drafts = (count: number) => Array.from({ length: count }, (_, n) => draft(n))
const jobCount = async () => {
  const queues = [bench.deliveryQueue, bench.retryQueue, bench.replayQueue]
  const counts = await Promise.all(queues.map(({ queue }) => queue.getJobCountByTypes('wait', 'active', 'delayed')))
  return counts.reduce((sum, count) => sum + count)
}
const open = async () => {
  const { pending, failed } = await bench.store.deliveries.countByStatus()
  return pending + failed
}

test('an endpoint whose breaker is open leaves no job in Redis; when it is back all comes, without an attempt burnt', async () => {
  bench = await startWebhookBench({ settings: { breaker: { ...breakerDefaults, openMs: 2_000 } } })
  await bench.endpoint(receiver)
  receiver.answerWith({ status: 500 })
  await bench.publish(drafts(5))
  await waitFor('all have failed', async () => (await bench.store.deliveries.countByStatus()).failed === 5)
  const waiting = await bench.publish(drafts(400))
  await waitFor('no job is left', async () => (await jobCount()) === 0)
  expect(await open()).toBe(405)
  const refused = receiver.received.length
  receiver.answerWith({ status: 200 })
  await bench.startRetryTick(250)
  await waitFor('all have come', async () => (await open()) === 0, 30_000)
  expect(receiver.received).toHaveLength(refused + 405)
  const all = await Promise.all(waiting.map((id) => bench.delivery(id)))
  expect(new Set(all.map(({ attemptCount }) => attemptCount))).toEqual(new Set([1]))
})

test('an endpoint that stays down is asked by one attempt at a time, and holds up no other', async () => {
  bench = await startWebhookBench({ settings: { breaker: { ...breakerDefaults, openMs: 300, maxOpenMs: 300 } } })
  const [down, well] = [await bench.endpoint(receiver, { events: ['message.sent'] }), await startReceiver()]
  receiver.answerWith({ status: 500 })
  await bench.publish(drafts(1_500))
  await bench.endpoint(well, { events: ['message.read'] })
  await bench.startRetryTick(250)
  const asked = async () => (await bench.store.deliveries.countByStatus(down.id)).failed
  await waitFor('what waits is in the store', async () => (await jobCount()) <= 3)
  const before = await asked()
  await waitFor('it is asked again and again', async () => (await asked()) >= before + 3)
  expect(await jobCount()).toBeLessThanOrEqual(3)
  await bench.publish(Array.from({ length: 20 }, () => ({ type: 'message.read' as const, data: {} })))
  await waitFor('the others have theirs', () => well.received.length === 20, 1_000)
  // While it was closed at most ten were under way; since then each opening brings one.
  expect(receiver.received.length).toBeLessThan(60)
  await well.close()
})

test('of what a slow receiver cannot take soon Redis holds little, and it comes in the end', async () => {
  bench = await startWebhookBench()
  await bench.endpoint(receiver)
  receiver.answerWith({ status: 200, afterMs: 200 })
  await bench.publish(drafts(800))
  await waitFor('the first have come', () => receiver.received.length > 20)
  await waitFor('the rest waits in the store', async () => (await jobCount()) < 500)
  await bench.startRetryTick(250)
  await waitFor('some more have come', () => receiver.received.length > 100)
  expect(await jobCount()).toBeLessThan(500)
  receiver.answerWith({ status: 200 })
  await waitFor('all have come', async () => (await open()) === 0, 45_000)
  expect(receiver.received).toHaveLength(800)
})

test('with no worker there, the tick makes no more jobs than workers would take up soon, and those of every endpoint', async () => {
  bench = await startWebhookBench({ running: false })
  const endpoints = [await bench.endpoint(receiver), await bench.endpoint(receiver)]
  await bench.publish(drafts(300), false)
  const { deliveries } = bench.store
  // Whatever its grace: all is due.
  for (const { id } of endpoints) {
    const due = await deliveries.listDue(id, Date.now() + 1e6, 9_999)
    await deliveries.postpone(due.map((each) => ({ deliveryId: each.id, attemptCount: 0, nextAttemptAt: 1 })))
  }
  const never = new AbortController().signal
  const rooms = new EndpointRooms(bench.connection, bench.prefix, silentLog)
  for (let n = 0; n < 8; n += 1) await retryDeliveries({ ...bench, deliveries, rooms, log: silentLog }, never)
  expect(await jobCount()).toBe(200)
  const jobs = await bench.deliveryQueue.queue.getJobs(['wait'])
  for (const { id } of endpoints) expect(jobs.filter((job) => job.data.endpointId === id)).toHaveLength(100)
})
