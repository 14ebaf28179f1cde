// What people do about deliveries: have one sent again, see dead letters and retry them.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { deadLetterQueueName } from '../../src/webhooks/dead-letter-queue.ts'
import { redeliver } from '../../src/webhooks/redeliver.ts'
import { createQueue, type Queue } from '../../src/platform/queue.ts'
import type { EndpointRecord } from '../../src/store/event-store.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { waitFor } from '../support/wait.ts'
import { draft, silentLog, startWebhookBench, type WebhookBench } from '../support/webhooks.ts'

let bench: WebhookBench
let receiver: Receiver
let endpoint: EndpointRecord
let letters: Queue<{ endpointId: string; reason: string }>

beforeEach(async () => {
  const settings = { retryDelaysMs: [100] }
  ;[bench, receiver] = await Promise.all([startWebhookBench({ settings }), startReceiver()])
  letters = createQueue(deadLetterQueueName, bench.connection, bench.prefix)
  endpoint = await bench.endpoint(receiver)
})
afterEach(async () => {
  await letters.close()
  await bench.close()
  await receiver.close()
})

const again = (id: string) => redeliver({ ...bench.store, deliveryQueue: bench.deliveryQueue, log: silentLog }, id)
const publishOne = async () => (await bench.publish([draft(1)]))[0] ?? ''
const withStatus = (id: string, status: string) =>
  waitFor(`delivery ${id} is ${status}`, async () => {
    const delivery = await bench.delivery(id)
    return delivery.status === status ? delivery : null
  })

test('redelivering makes a new delivery of the same event, at once, whatever became of the first', async () => {
  const first = await publishOne()
  await withStatus(first, 'succeeded')
  const second = await again(first)
  expect(second).toMatchObject({ status: 'pending', attemptCount: 0, replayId: null })
  await withStatus(second.id, 'succeeded')
  const [one, two] = receiver.received
  expect([two?.headers['webhook-id'], two?.body]).toEqual([one?.headers['webhook-id'], one?.body])
  expect((await bench.delivery(first)).status).toBe('succeeded')
})

test('one that is still being tried ends with its redelivery', async () => {
  receiver.answerWith({ status: 500 })
  const first = await publishOne()
  await withStatus(first, 'failed')
  receiver.answerWith({ status: 200 })
  const second = await again(first)
  await withStatus(second.id, 'succeeded')
  expect(await bench.delivery(first)).toMatchObject({ status: 'dead', deadReason: 'redelivered', attemptCount: 1 })
  await bench.startRetryTick()
  const due = () => bench.store.deliveries.listDueEndpoints({ now: Date.now() + 1e9, limit: 5 })
  await waitFor('nothing is due', async () => (await due()).length === 0)
  expect(receiver.received).toHaveLength(2)
})

test('cannot be where the endpoint is disabled, or endpoint, event or delivery are gone', async () => {
  const id = await publishOne()
  await withStatus(id, 'succeeded')
  await expect(again('dlv_none')).rejects.toMatchObject({ code: 'not_found' })
  await bench.store.endpoints.update(endpoint.id, { enabled: false })
  await expect(again(id)).rejects.toMatchObject({ code: 'endpoint_disabled' })
  await bench.store.endpoints.update(endpoint.id, { enabled: true })
  const keep = { messagesMs: 1e12, deliveriesMs: 1e12, eventsMs: 0, healthSamplesMs: 1e12 }
  await bench.store.sweep(keep, Date.now() + 1_000, 100)
  await expect(again(id)).rejects.toMatchObject({ code: 'event_expired' })
})

test('a dead letter is seen with its reason, and its retry delivers the event', async () => {
  receiver.answerWith({ status: 500, body: 'secret answer' })
  await bench.startRetryTick()
  const id = await publishOne()
  expect(await withStatus(id, 'dead')).toMatchObject({ deadReason: 'retries_exhausted', attemptCount: 2 })
  const dead = await bench.store.deliveries.list({ endpointId: endpoint.id, status: 'dead', limit: 5 })
  expect(dead.data.map((each) => each.id)).toEqual([id])

  const letter = await waitFor('the letter has failed', async () => {
    const job = await letters.getJob(id)
    return (await job?.isFailed()) ? job : null
  })
  expect([letter.failedReason, letter.data]).toEqual([
    'retries_exhausted',
    { endpointId: endpoint.id, reason: 'retries_exhausted' },
  ])
  expect(JSON.stringify(letter)).not.toContain('secret answer')

  receiver.answerWith({ status: 200 })
  await letter.retry('failed')
  await waitFor('the event has come', () => receiver.delivered.size === 1)
  await waitFor('the letter is gone', async () => (await letters.getJob(id)) === undefined)
  expect((await bench.delivery(id)).status).toBe('dead')

  // Where it cannot be, the letter stays.
  receiver.answerWith({ status: 410 })
  const gone = await publishOne()
  const second = await waitFor('the second letter has failed', async () => {
    const job = await letters.getJob(gone)
    return (await job?.isFailed()) ? job : null
  })
  expect(second.failedReason).toBe('endpoint_gone')
  await waitFor('the endpoint is disabled', async () => (await bench.store.endpoints.get(endpoint.id))?.enabled === false)
  await second.retry('failed')
  const stays = await waitFor('it has failed again', async () => {
    const job = await letters.getJob(gone)
    // What was read while its second try was under way bears no reason yet.
    return (await job?.isFailed()) && job?.failedReason && job.failedReason !== 'endpoint_gone' ? job : null
  })
  expect(stays.failedReason).toContain('disabled')
})
