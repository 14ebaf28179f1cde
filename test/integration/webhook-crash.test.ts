// What survives: workers killed in the middle of a delivery, a Redis that comes back empty, jobs that were never made.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Redis } from 'ioredis'
import type { Receiver } from '../support/receiver.ts'
import { waitFor } from '../support/wait.ts'
import { startWebhookProcesses, type WebhookProcesses } from '../support/webhook-processes.ts'
import { draft, type WebhookBench } from '../support/webhooks.ts'

let processes: WebhookProcesses
let bench: WebhookBench
let receiver: Receiver
let start: WebhookProcesses['start']
beforeEach(async () => {
  processes = await startWebhookProcesses()
  ;({ bench, receiver, start } = processes)
})
afterEach(() => processes.close())

const arrived = (count: number, deadlineMs = 45_000) =>
  waitFor(`${count} events have arrived`, () => receiver.delivered.size === count, deadlineMs)
const drafts = (count: number) => Array.from({ length: count }, (_, n) => draft(n))

test('a worker killed in the middle of deliveries loses none', async () => {
  const first = await start('webhook-worker')
  receiver.answerWith('hang')
  const ids = await bench.publish(drafts(10))
  await waitFor('requests are under way', () => receiver.load.open === 10)
  await first.end('SIGKILL')
  receiver.answerWith({ status: 200 })
  await start('webhook-worker')
  await arrived(10)
  await waitFor('all are recorded', async () => {
    const all = await Promise.all(ids.map((id) => bench.delivery(id)))
    return all.every((delivery) => delivery.status === 'succeeded' && delivery.attemptCount === 1)
  })
  expect(receiver.received.every((request) => request.isVerified)).toBe(true)
})

test('the deliveries of a killed worker are taken over by one that lives, while the schedule has yet to find them', async () => {
  const [first, ids] = [await start('webhook-worker'), await bench.publish(drafts(10))]
  await arrived(10)
  receiver.answerWith('hang')
  ids.push(...(await bench.publish(drafts(10))))
  await waitFor('requests are under way', () => receiver.load.open === 10)
  await start('webhook-worker')
  await first.end('SIGKILL')
  receiver.answerWith({ status: 200 })
  await arrived(20, 15_000) // five seconds where nothing else runs; no scheduler is there to help
  await waitFor('all are recorded', async () => (await bench.store.deliveries.countByStatus()).succeeded === ids.length)
  expect(receiver.received).toHaveLength(30)
})

test('a request that takes longer than the lock of its job is made once, by one of two workers', async () => {
  await Promise.all([start('webhook-worker'), start('webhook-worker')])
  receiver.answerWith({ status: 200, afterMs: 9_000 })
  const ids = await bench.publish(drafts(10))
  await arrived(10)
  await waitFor('all are recorded', async () => (await bench.store.deliveries.countByStatus()).succeeded === ids.length)
  expect(receiver.received).toHaveLength(10)
})

test('a Redis that stands still for longer than a lock lives does not double the requests under way', async () => {
  await start('webhook-worker')
  let answer: (() => void) | undefined
  const answered = new Promise<void>((resolve) => (answer = resolve))
  receiver.answerWith(() => ({ status: 200, after: answered }))
  const ids = await bench.publish(drafts(10))
  await waitFor('requests are under way', () => receiver.load.open === 10)
  const locks = async () => {
    const redis = new Redis({ path: bench.redis.socketPath })
    const found = await redis.keys('*:lock')
    await redis.quit()
    return found.length
  }
  expect(await locks()).toBe(10)
  bench.redis.pause()
  await new Promise((resolve) => setTimeout(resolve, 5_000)) // a lock's whole life
  bench.redis.resume()
  await waitFor('the jobs have been given out again', async () => (await locks()) === 10)
  answer?.()
  await waitFor('all are recorded', async () => (await bench.store.deliveries.countByStatus()).succeeded === ids.length)
  await waitFor(
    'no job is left',
    async () => (await bench.deliveryQueue.queue.getJobCountByTypes('active', 'wait', 'delayed')) === 0,
  )
  expect(receiver.received).toHaveLength(10)
})

test('a Redis that comes back empty loses no delivery, and the ticks go on', async () => {
  await start('webhook-worker')
  await start('scheduler')
  receiver.answerWith({ status: 500 })
  const failing = await bench.publish(drafts(2))
  await waitFor('both have failed once', async () =>
    (await Promise.all(failing.map((id) => bench.delivery(id)))).every((delivery) => delivery.attemptCount === 1),
  )
  const unannounced = await bench.publish(drafts(3), false)
  await bench.redis.kill() // without an append-only file nothing is left
  await bench.redis.start()
  receiver.answerWith({ status: 200 })
  await arrived(failing.length + unannounced.length)
  expect(receiver.received.every((request) => request.isVerified)).toBe(true)
})

test('FLUSHALL under running processes loses no delivery', async () => {
  await start('scheduler')
  await bench.publish(drafts(5))
  const redis = new Redis({ path: bench.redis.socketPath })
  await redis.flushall()
  await redis.quit()
  await start('webhook-worker')
  await arrived(5)
  expect(receiver.received).toHaveLength(5)
})

test('events are announced without waiting while Redis is away, and arrive after its return', async () => {
  await start('webhook-worker')
  await start('scheduler')
  await bench.redis.stop()
  const startedAt = performance.now()
  await bench.publish(drafts(5))
  expect(performance.now() - startedAt).toBeLessThan(1_000)
  await bench.redis.start()
  await arrived(5)
})

test('a worker told to stop finishes the requests in flight and leaves nothing active', async () => {
  const worker = await start('webhook-worker')
  receiver.answerWith({ status: 200, afterMs: 800 })
  const ids = await bench.publish(drafts(5))
  await waitFor('requests are under way', () => receiver.load.open === 5)
  expect(await worker.end('SIGTERM')).toBe(0)
  expect((await Promise.all(ids.map((id) => bench.delivery(id)))).map((delivery) => delivery.status)).toEqual(
    ids.map(() => 'succeeded'),
  )
  expect(receiver.received).toHaveLength(5)
  expect(await bench.deliveryQueue.queue.getJobCountByTypes('active', 'wait', 'delayed')).toBe(0)
})
