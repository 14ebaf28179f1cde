// What a session told before it was deleted reaches the receivers of the whole fleet, also one that was away meanwhile.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { describeMessage } from '../../src/messages/message-events.ts'
import { describeStatus } from '../../src/sessions/session-events.ts'
import { breakerDefaults } from '../../src/webhooks/endpoint-breaker.ts'
import { announceEvents } from '../../src/webhooks/publish-event.ts'
import { createEndpoint } from '../../src/webhooks/create-endpoint.ts'
import { newMessage } from '../support/records.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { waitFor } from '../support/wait.ts'
import { draft, loopbackAllowed, silentLog, startWebhookBench, type WebhookBench } from '../support/webhooks.ts'

let bench: WebhookBench
let receiver: Receiver

beforeEach(async () => {
  const breaker = { ...breakerDefaults, openMs: 200, maxOpenMs: 400 }
  ;[bench, receiver] = await Promise.all([
    startWebhookBench({ settings: { retryDelaysMs: [200, 200, 200], breaker } }),
    startReceiver(),
  ])
})
afterEach(async () => {
  await bench.close()
  await receiver.close()
})

test('a receiver that was away while a session was deleted gets all that it told, and how its messages ended', async () => {
  const { store, sessionId } = bench
  const { port } = receiver
  const url = receiver.url
  await receiver.close()
  const made = await createEndpoint(
    { endpoints: store.endpoints, secretBox: bench.secretBox, guardPolicy: loopbackAllowed },
    { sessionId: null, url, events: ['*'] },
  )
  const deliveryIds = await bench.publish([draft(1), draft(2)])
  await waitFor('it was tried', async () => (await bench.delivery(deliveryIds[0] ?? '')).attemptCount > 0)

  const announce = { deliveryQueue: bench.deliveryQueue, log: silentLog }
  const accepted = { message: newMessage(sessionId), idempotency: null, maxQueueDepth: 10, now: Date.now() }
  await store.messages.accept(accepted, describeMessage)
  await store.sessions.request(sessionId, 'delete', Date.now())
  await store.sessions.raiseEpoch(sessionId, 1)
  const error = { code: 'session_deleted', detail: 'The session was deleted.' }
  const ended = await store.messages.failUnfinished({ sessionId, epoch: 1, error, at: Date.now(), limit: 9 }, describeMessage)
  for (const { published } of ended.failed) announceEvents(announce, published)
  const last = await store.sessions.update(sessionId, 1, { status: 'disconnected', statusReason: 'requested' }, describeStatus)
  announceEvents(announce, last.published)
  await store.sessions.remove(sessionId, 1)

  receiver = await startReceiver({ port })
  receiver.secrets.push(made.secret)
  await bench.startRetryTick()
  await waitFor('all have come', () => receiver.delivered.size === 5, 20_000)
  const told = [...receiver.delivered.values()].toSorted((a, b) => a.event.sequence - b.event.sequence)
  expect(told.map(({ event, isVerified }) => [event.sequence, event.type, event.sessionId, isVerified])).toEqual(
    ['message.sent', 'message.sent', 'message.queued', 'message.failed', 'session.status'].map((type, i) => [
      i + 1,
      type,
      sessionId,
      true,
    ]),
  )
  expect(told[3]?.event.data).toMatchObject({ message: { status: 'failed', error: { code: 'session_deleted' } } })
  await waitFor('all are recorded', async () => (await store.deliveries.countByStatus()).succeeded === 5)
})
