// A canary secret, header value and message text go through deliveries, failures and a breaker: none may be seen in Redis or in the log.
import { Writable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createLog } from '../../src/platform/log.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { deliveryView } from '../../src/webhooks/delivery-view.ts'
import { endpointView } from '../../src/webhooks/endpoint-view.ts'
import { eventChannel } from '../../src/webhooks/event-notice.ts'
import { startReplay } from '../../src/webhooks/replay.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { waitFor } from '../support/wait.ts'
import { draft, startWebhookBench, type WebhookBench } from '../support/webhooks.ts'

const written: string[] = []
const log = createLog({
  process: 'test',
  level: 'trace',
  destination: new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      written.push(chunk.toString())
      done()
    },
  }),
})
let bench: WebhookBench
let receiver: Receiver
const settings = { retryDelaysMs: [60_000] }
beforeEach(async () => {
  written.length = 0
  ;[bench, receiver] = await Promise.all([startWebhookBench({ log, settings }), startReceiver()])
})
afterEach(async () => {
  await bench.close()
  await receiver.close()
})

/** Every value of every key, as text. */
async function everythingInRedis(): Promise<string> {
  const parts: string[] = []
  for (const key of await bench.connection.keys('*')) {
    parts.push(key, (await bench.connection.dumpBuffer(key))?.toString('latin1') ?? '')
    if ((await bench.connection.type(key)) === 'hash') parts.push(JSON.stringify(await bench.connection.hgetall(key)))
    if ((await bench.connection.type(key)) === 'stream') parts.push(JSON.stringify(await bench.connection.xrange(key, '-', '+')))
  }
  return parts.join('\n')
}

test('no secret and no message text is in Redis, in the log, or in what the API shows', async () => {
  const endpoint = await bench.endpoint(receiver, {
    headers: { authorization: 'Bearer header-canary' },
    path: '/hook?token=url-canary',
  })
  const secret = receiver.secrets[0] ?? ''
  const canaries = ['header-canary', 'text-canary', '254712345678', secret, secret.slice('whsec_'.length)]
  const event = (n: number) => draft(n, { text: { body: 'text-canary' }, to: { phoneNumber: '254712345678' } })
  receiver.answerWith({ status: 500, body: '{"you sent":{"authorization":"Bearer header-canary"}}' })
  const failed = await bench.publish([event(1), event(2)])
  await waitFor('both have failed', async () =>
    (await Promise.all(failed.map((id) => bench.delivery(id)))).every((each) => each.attemptCount === 1),
  )
  receiver.answerWith('hang')
  await bench.publish([event(3)])
  await waitFor('one is under way', () => receiver.received.length === 3)
  await bench.retryQueue.add(failed[0] ?? '', { endpointId: endpoint.id, attempt: 1 })
  await bench.retryQueue.queue.add('deliver', { endpointId: endpoint.id, attempt: 1 }, { jobId: 'waiting', delay: 60_000 })

  const redis = await everythingInRedis()
  expect(redis).toContain(endpoint.id)
  const views = JSON.stringify([
    endpointView((await bench.store.endpoints.get(endpoint.id)) ?? endpoint),
    ...(await Promise.all(failed.map(async (id) => deliveryView(await bench.delivery(id))))),
  ])
  expect(written.join('')).toContain('webhook.attempted')
  for (const canary of canaries) {
    expect(redis).not.toContain(canary)
    expect(written.join('')).not.toContain(canary)
    expect(views).not.toContain(canary)
  }
  expect(written.join('')).not.toContain('url-canary')
  expect(redis).not.toContain('url-canary')
  expect(receiver.received[0]?.headers.authorization).toBe('Bearer header-canary')
})

test('dead letters, replays, notices and what the log keeps of an endpoint hold no secret and tell no text', async () => {
  const endpoint = await bench.endpoint(receiver, { headers: { 'x-token': 'header-canary' }, path: '/hook?token=url-canary' })
  const secret = receiver.secrets[0] ?? ''
  const event = (n: number) => draft(n, { text: { body: 'text-canary' } })
  const heard: string[] = []
  const subscriber = connectRedis(bench.redis.target, 'subscriber', log)
  await subscriber.subscribe(eventChannel(bench.prefix))
  subscriber.on('message', (_channel: string, text: string) => heard.push(text))

  await bench.publish([event(1)])
  await waitFor('it has come', () => receiver.delivered.size === 1)
  receiver.answerWith('hang')
  await startReplay(bench.store, endpoint, { since: 0 })
  await bench.startRetryTick()
  await waitFor('the replay is under way', () => receiver.received.length === 2)
  receiver.answerWith({ status: 410, body: 'answer-canary' })
  const [dead] = await bench.publish([event(2)])
  await waitFor('it is dead', async () => (await bench.delivery(dead ?? '')).status === 'dead')
  await waitFor('the endpoint is disabled', async () => (await bench.store.endpoints.get(endpoint.id))?.enabled === false)
  await waitFor('the letter is there', async () => (await everythingInRedis()).includes('endpoint_gone'))
  await waitFor('a notice has come', () => heard.length > 0)

  const disabled = await bench.store.events.read({ sessionId: bench.sessionId, limit: 50, types: ['webhook.disabled'] })
  expect(disabled.events).toHaveLength(1)
  const places = {
    redis: await everythingInRedis(),
    log: written.join(''),
    heard: heard.join(),
    events: JSON.stringify(disabled),
  }
  for (const [place, text] of Object.entries(places)) {
    for (const canary of ['text-canary', 'header-canary', 'answer-canary', secret, secret.slice('whsec_'.length)]) {
      expect(text, place).not.toContain(canary)
    }
  }
  await closeRedis(subscriber)
})
