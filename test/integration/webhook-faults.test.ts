// Nothing is lost when the receiver is away or ill for long, when workers are killed with retries pending, when Redis or the store pauses.
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { EndpointRecord } from '../../src/store/event-store.ts'
import { breakerDefaults } from '../../src/webhooks/endpoint-breaker.ts'
import { startReplay } from '../../src/webhooks/replay.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { waitFor } from '../support/wait.ts'
import { startWebhookProcesses, type WebhookProcesses } from '../support/webhook-processes.ts'
import { draft, startWebhookBench, type WebhookBench } from '../support/webhooks.ts'

/** The production schedule and breaker, a hundred times as fast. */
const hurried = {
  retryDelaysMs: [50, 300, 1_200, 6_000, 36_000],
  breaker: { ...breakerDefaults, openMs: 100, maxOpenMs: 1_200, probeMs: 2_000 },
}
let bench: WebhookBench
let receiver: Receiver

const drafts = (count: number, from = 0) => Array.from({ length: count }, (_, n) => draft(from + n))
const arrived = (count: number) => waitFor(`${count} events have arrived`, () => receiver.delivered.size === count, 45_000)
const settled = (ids: string[]) =>
  waitFor('all are recorded', async () => {
    const all = await Promise.all(ids.map((id) => bench.delivery(id)))
    return all.every(({ status }) => status === 'succeeded')
  })

describe('with a schedule in a hurry', () => {
  beforeEach(async () => {
    ;[bench, receiver] = await Promise.all([startWebhookBench({ settings: hurried }), startReceiver()])
    await bench.endpoint(receiver)
    await bench.startRetryTick(100)
  })
  afterEach(async () => {
    await bench.close()
    await receiver.close()
  })

  test('a receiver that is away for a while gets everything when it is back', async () => {
    const { port, secrets } = receiver
    await receiver.close()
    const ids: string[] = []
    for (let n = 0; n < 10; n += 1) {
      ids.push(...(await bench.publish(drafts(10, n * 10))))
      await new Promise((resolve) => setTimeout(resolve, 90)) // away for 0.9 s of a schedule 100 times as fast: 90 s
    }
    receiver = await startReceiver({ port })
    receiver.secrets.push(...secrets)
    await arrived(100)
    await settled(ids)
    expect(receiver.received.every(({ isVerified }) => isVerified)).toBe(true)
  })

  test('a receiver that answers 500 for long gets everything, and is not overrun meanwhile', async () => {
    receiver.answerWith({ status: 500 })
    const ids: string[] = []
    for (let n = 0; n < 15; n += 1) {
      ids.push(...(await bench.publish(drafts(10, n * 10))))
      await new Promise((resolve) => setTimeout(resolve, 200)) // 3 s: five minutes
    }
    const refused = receiver.received.length
    expect(refused).toBeLessThan(ids.length)
    receiver.answerWith({ status: 200 })
    await arrived(150)
    await settled(ids)
  })

  test('Redis that restarts in the middle of retries loses none', async () => {
    receiver.answerWith({ status: 500 })
    const ids = await bench.publish(drafts(30))
    await waitFor('some have failed', async () => (await bench.store.deliveries.countByStatus()).failed > 0)
    await bench.redis.stop()
    ids.push(...(await bench.publish(drafts(30, 30))))
    receiver.answerWith({ status: 200 })
    await bench.redis.start()
    await arrived(60)
    expect(await settled(ids)).toBe(true)
  })
})

describe('with processes of its own', () => {
  let processes: WebhookProcesses
  let endpoint: EndpointRecord
  let start: WebhookProcesses['start']
  beforeEach(async () => {
    processes = await startWebhookProcesses()
    ;({ bench, receiver, endpoint, start } = processes)
  })
  afterEach(() => processes.close())

  test('killing the workers with retries pending loses none', async () => {
    const [worker, scheduler] = [await start('webhook-worker'), await start('scheduler')]
    receiver.answerWith({ status: 500 })
    const ids = await bench.publish(drafts(4))
    await waitFor('all have failed', async () => (await bench.store.deliveries.countByStatus()).failed === 4)
    await Promise.all([worker.end('SIGKILL'), scheduler.end('SIGKILL')])
    receiver.answerWith({ status: 200 })
    await start('webhook-worker')
    await start('scheduler')
    await arrived(4)
    expect(await settled(ids)).toBe(true)
  })

  test('killing everything in the middle of a replay loses and doubles no delivery', async () => {
    await bench.store.endpoints.update(endpoint.id, { enabled: false })
    await bench.publish(drafts(400))
    await bench.store.endpoints.update(endpoint.id, { enabled: true })
    await startReplay(bench.store, { ...endpoint, enabled: true }, { since: 0 })
    receiver.answerWith({ status: 200, afterMs: 2 })
    for (const count of [30, 150]) {
      const running = [await start('webhook-worker'), await start('scheduler')]
      await waitFor('it is under way', () => receiver.delivered.size >= count, 45_000)
      await Promise.all(running.map((each) => each.end('SIGKILL')))
    }
    await bench.connection.flushall()
    await start('webhook-worker')
    await start('scheduler')
    await arrived(400)
    const { data } = await bench.store.deliveries.list({ endpointId: endpoint.id, limit: 200 })
    const rest = await bench.store.replays.list({ endpointId: endpoint.id, limit: 5 })
    expect(data).toHaveLength(200)
    expect(rest.data).toMatchObject([{ status: 'finished', deliveryCount: 400 }])
    expect(await bench.store.deliveries.countByStatus(endpoint.id)).toMatchObject({ dead: 0 })
  })

  test('a store that nobody can write to for a while loses none', async () => {
    await start('webhook-worker')
    await start('scheduler')
    receiver.answerWith({ status: 200, afterMs: 150 })
    const ids = await bench.publish(drafts(20))
    await waitFor('requests are under way', () => receiver.load.open > 0)
    const writer = new DatabaseSync(bench.storePath)
    writer.exec('BEGIN IMMEDIATE')
    await waitFor('all have come', () => receiver.delivered.size === 20)
    // Each writer waits equally long for its turn: what came of the first requests has been refused before this is.
    await expect(bench.publish(drafts(1, 99))).rejects.toMatchObject({ code: 'store_unavailable' })
    writer.exec('ROLLBACK')
    writer.close()
    await settled(ids)
    const after = await bench.publish(drafts(5, 20))
    await settled(after)
    expect(receiver.received.every(({ isVerified }) => isVerified)).toBe(true)
  })

  test('a scheduler and a worker that were stopped for a while go on', async () => {
    const running = [await start('webhook-worker'), await start('scheduler')]
    for (const { pid } of running) process.kill(pid, 'SIGSTOP')
    const ids = await bench.publish(drafts(20))
    await bench.redis.stop()
    await bench.redis.start()
    for (const { pid } of running) process.kill(pid, 'SIGCONT')
    await arrived(20)
    await settled(ids)
    expect(await Promise.all(running.map((each) => each.end('SIGTERM')))).toEqual([0, 0])
  })
})
