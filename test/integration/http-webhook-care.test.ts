// Webhooks over HTTP: tests, replays, redeliveries, dead letters, breakers; each session's own and nobody else's.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { BreakerStates } from '../../src/webhooks/breaker-state.ts'
import { createDeliveryQueue } from '../../src/webhooks/delivery-queue.ts'
import { breakerDefaults } from '../../src/webhooks/endpoint-breaker.ts'
import { runDeliveries } from '../../src/webhooks/run-deliveries.ts'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { waitFor } from '../support/wait.ts'
import { loopbackAllowed, silentLog } from '../support/webhooks.ts'

let api: TestApi
let receiver: Receiver
let connection: ReturnType<typeof connectRedis>
let session: { id: string; key: string }
let hook: { id: string; secret: string }

beforeAll(async () => {
  ;[api, receiver] = await Promise.all([startTestApi(), startReceiver()])
  connection = connectRedis(api.redis.target, 'worker', silentLog)
})
afterAll(async () => {
  await closeRedis(connection)
  await api.close()
  await receiver.close()
})
beforeEach(async () => {
  receiver.received.length = 0
  receiver.answerWith({ status: 204 })
  session = await makeSession(api)
  const headers = { 'x-token': 'header-canary' }
  const made = await post('/v1/webhooks', { url: receiver.url, events: ['message.*'], headers })
  hook = made.body
  receiver.secrets.splice(0, receiver.secrets.length, hook.secret)
})

const post = (path: string, json: unknown = {}, key = session.key) => api.call('POST', path, { key, json })
const get = (path: string, key = session.key) => api.call('GET', path, { key })
const publish = async (count: number) => {
  const drafts = Array.from({ length: count }, (_, n) => ({ type: 'message.sent' as const, data: { message: { n } } }))
  const published = await api.store.events.append(session.id, drafts)
  return published.flatMap(({ deliveries }) => deliveries.filter(({ endpointId }) => endpointId === hook.id).map(({ id }) => id))
}

describe('a test', () => {
  test('is signed, carries the extra headers and says what came back', async () => {
    receiver.answerWith({ status: 201, body: 'thanks' })
    const answer = await post(`/v1/webhooks/${hook.id}/test`)
    expect(answer.body).toMatchObject({ succeeded: true, status: 201, error: null, answer: 'thanks' })
    const [request] = receiver.received
    expect(request?.isVerified).toBe(true)
    expect(request?.headers).toMatchObject({ 'webhook-id': answer.body.eventId, 'x-token': 'header-canary' })
    expect(request?.event).toMatchObject({
      id: answer.body.eventId,
      type: 'webhook.test',
      sessionId: session.id,
      sequence: 0,
      data: { endpoint: (await get(`/v1/webhooks/${hook.id}`)).body },
    })
    expect((await get(`/v1/webhooks/${hook.id}/deliveries`)).body.data).toEqual([])
    expect((await get('/v1/events?types=webhook.*')).body.data).toEqual([])
  })

  test('of a receiver that is ill is an answer, not an error', async () => {
    receiver.answerWith({ status: 500, body: 'out of paper' })
    const ill = await post(`/v1/webhooks/${hook.id}/test`)
    expect(ill.body).toMatchObject({ succeeded: false, status: 500, answer: 'out of paper' })
    receiver.answerWith('cut')
    const cut = await post(`/v1/webhooks/${hook.id}/test`)
    expect(cut.body).toMatchObject({ succeeded: false, status: null, error: 'connection_closed', answer: null })
  })

  test('works for endpoints that are disabled and for those of the fleet, and not too often', async () => {
    await api.call('PATCH', `/v1/webhooks/${hook.id}`, { key: session.key, json: { enabled: false } })
    expect((await post(`/v1/webhooks/${hook.id}/test`)).body.succeeded).toBe(true)
    const made = await post('/v1/webhooks', { url: receiver.url, events: ['*'] }, api.adminKey)
    for (let n = 0; n < 10; n += 1) expect((await post(`/v1/webhooks/${made.body.id}/test`, {}, api.adminKey)).status).toBe(200)
    expect(receiver.received.at(-1)?.event.sessionId).toBeNull()
    const refused = await post(`/v1/webhooks/${made.body.id}/test`, {}, api.adminKey)
    expect([refused.status, refused.body.code]).toEqual([429, 'too_many_requests'])
    await api.call('DELETE', `/v1/webhooks/${made.body.id}`, { key: api.adminKey })
  })
})

describe('a redelivery', () => {
  test('is a new delivery with a job of its own', async () => {
    const [id] = await publish(1)
    const again = await post(`/v1/deliveries/${id}/redeliver`)
    expect(again.status).toBe(202)
    expect(again.headers.location).toBe(`/v1/deliveries/${again.body.id}`)
    expect(again.body).toMatchObject({ status: 'pending', attempts: [], endpointId: hook.id, eventType: 'message.sent' })
    expect((await get(`/v1/deliveries/${again.body.id}`)).body).toEqual(again.body)
    expect((await get(`/v1/deliveries/${id}`)).body).toMatchObject({ status: 'dead', deadReason: 'redelivered' })
    const dead = await get(`/v1/webhooks/${hook.id}/deliveries?status=dead`)
    expect(dead.body.data).toMatchObject([{ id }])
    const queue = createDeliveryQueue(connection, api.prefix)
    expect((await queue.queue.getJob(again.body.id))?.data).toEqual({ endpointId: hook.id, attempt: 0 })
    await queue.close()
  })

  test('of a disabled endpoint is refused with what to do', async () => {
    const [id] = await publish(1)
    await api.call('PATCH', `/v1/webhooks/${hook.id}`, { key: session.key, json: { enabled: false } })
    const refused = await post(`/v1/deliveries/${id}/redeliver`)
    expect(refused.body).toMatchObject({ status: 409, code: 'endpoint_disabled' })
  })

  test('of what a fleet-wide endpoint got of a session is the admin’s', async () => {
    const fleet = await post('/v1/webhooks', { url: receiver.url, events: ['*'] }, api.adminKey)
    const [published] = await api.store.events.append(session.id, [{ type: 'message.sent', data: {} }])
    const id = published?.deliveries.find(({ endpointId }) => endpointId === fleet.body.id)?.id
    for (const path of [`/v1/deliveries/${id}`, `/v1/sessions/${session.id}/deliveries/${id}`]) {
      expect((await get(path)).status).toBe(404)
      expect((await post(`${path}/redeliver`)).status).toBe(404)
    }
    expect((await post(`/v1/deliveries/${id}/redeliver`, {}, api.adminKey)).status).toBe(202)
    await api.call('DELETE', `/v1/webhooks/${fleet.body.id}`, { key: api.adminKey })
  })
})

describe('a replay', () => {
  test('is stored, listed, one at a time, and stopped', async () => {
    const since = '2026-01-01T02:00:00+02:00'
    const made = await post(`/v1/webhooks/${hook.id}/replay`, { since, types: ['message.sent', 'message.read'] })
    expect(made.status).toBe(202)
    expect(made.body).toMatchObject({
      endpointId: hook.id,
      sessionId: session.id,
      since: '2026-01-01T00:00:00.000Z',
      types: ['message.sent', 'message.read'],
      status: 'running',
      deliveryCount: 0,
    })
    const second = await post(`/v1/webhooks/${hook.id}/replay`, { since })
    expect(second.body).toMatchObject({ status: 409, code: 'replay_running' })
    expect((await get(`/v1/webhooks/${hook.id}/replays`)).body).toEqual({ data: [made.body], nextCursor: null })
    const path = `/v1/webhooks/${hook.id}/replays/${made.body.id}`
    const stopped = await api.call('DELETE', path, { key: session.key })
    expect(stopped.body).toMatchObject({ id: made.body.id, status: 'stopped' })
    expect((await post(`/v1/webhooks/${hook.id}/replay`, { since })).status).toBe(202)
  })

  test.each([
    [{}, 'since'],
    [{ since: 'yesterday' }, 'since'],
    [{ since: '2026-01-02T00:00:00Z', until: '2026-01-01T00:00:00Z' }, 'since'],
    [{ since: '2026-01-01T00:00:00Z', types: ['message.nonsense'] }, 'types.0'],
    [{ since: '2026-01-01T00:00:00Z', types: ['session.*'] }, 'types'],
    [{ since: '2026-01-01T00:00:00Z', types: [] }, 'types'],
    [{ since: '2026-01-01T00:00:00Z', evil: true }, 'evil'],
  ])('of %j is refused by field', async (json, path) => {
    const refused = await post(`/v1/webhooks/${hook.id}/replay`, json)
    expect(refused.body).toMatchObject({ status: 400, code: 'invalid_request', errors: [{ path }] })
  })
})

describe('a breaker', () => {
  test('is shown with its endpoint and counted in the metrics', async () => {
    const states = new BreakerStates(connection, api.prefix)
    const metric = async (state: string) => {
      const { text } = await get('/metrics', api.adminKey)
      return Number(new RegExp(`^ujumbe_webhook_breakers\\{state="${state}"\\} (\\d+)$`, 'm').exec(text)?.[1])
    }
    expect((await get(`/v1/webhooks/${hook.id}`)).body.breaker).toMatchObject({ state: 'closed', consecutiveFailureCount: 0 })
    expect(await metric('open')).toBe(0)
    for (let n = 0; n < 5; n += 1) await states.fail(hook.id, Date.now(), breakerDefaults, false)
    const open = await get(`/v1/webhooks/${hook.id}`)
    expect(open.body.breaker).toMatchObject({ state: 'open', consecutiveFailureCount: 5 })
    expect(Date.parse(open.body.breaker.openUntil)).toBeGreaterThan(Date.now())
    expect((await get('/v1/webhooks')).body.data[0].breaker.state).toBe('open')
    expect([await metric('open'), await metric('half-open')]).toEqual([1, 0])
    await states.succeed(hook.id, true)
    for (let n = 0; n < 5; n += 1) await states.fail(hook.id, Date.now() - 60_000, breakerDefaults, false)
    expect((await get(`/v1/webhooks/${hook.id}`)).body.breaker.state).toBe('half-open')
    expect([await metric('open'), await metric('half-open')]).toEqual([0, 1])
    await states.succeed(hook.id, true)
    expect([await metric('open'), await metric('half-open')]).toEqual([0, 0])
  })
})

test('that a fleet-wide endpoint was disabled is told to the admin and to nobody of the session whose delivery it was', async () => {
  const made = await post('/v1/webhooks', { url: `${receiver.url}/fleet`, events: ['message.*'] }, api.adminKey)
  const other = (await post('/v1/webhooks', { url: receiver.url, events: ['webhook.*'] }, api.adminKey)).body
  const own = (await post('/v1/webhooks', { url: receiver.url, events: ['*'] })).body
  receiver.answerWith((request) => ({ status: request.path.endsWith('/fleet') ? 410 : 204 }))
  const worker = connectRedis(api.redis.target, 'worker', silentLog)
  const { store, prefix, secretBox } = api
  const running = runDeliveries({ store, redis: worker, prefix, secretBox, guardPolicy: loopbackAllowed, log: silentLog })
  try {
    const [message] = await store.events.append(session.id, [{ type: 'message.sent', data: {} }])
    const delivery = message?.deliveries.find(({ endpointId }) => endpointId === made.body.id)
    const queue = createDeliveryQueue(worker, prefix)
    await queue.add(delivery?.id ?? '', { endpointId: made.body.id, attempt: 0 })
    await queue.close()
    const told = await waitFor('the other fleet-wide endpoint is told', () =>
      receiver.received.find(({ event }) => event.type === 'webhook.disabled'),
    )
    expect(told.event).toMatchObject({
      sessionId: session.id,
      data: { endpoint: { id: made.body.id, sessionId: null, enabled: false, disabledReason: 'gone' } },
    })
    const types = async (path: string, key: string) =>
      (await get(path, key)).body.data.map(({ type, sessionId }: { type: string; sessionId: string }) => [type, sessionId])
    expect(await types('/v1/events?types=webhook.disabled&limit=200', api.adminKey)).toContainEqual([
      'webhook.disabled',
      session.id,
    ])
    expect(await types('/v1/events?limit=200', session.key)).not.toContainEqual(['webhook.disabled', session.id])
    expect(await types(`/v1/webhooks/${own.id}/deliveries`, session.key)).toHaveLength(1)
    expect(await types(`/v1/webhooks/${other.id}/deliveries`, api.adminKey)).toHaveLength(1)
    expect((await get('/metrics', api.adminKey)).text).toMatch(/^ujumbe_webhook_endpoints\{state="disabled"\} 1$/m)
  } finally {
    await running.close(1_000)
    await closeRedis(worker)
    for (const { id } of [made.body, other]) await api.call('DELETE', `/v1/webhooks/${id}`, { key: api.adminKey })
  }
})

test('secrets and header values appear in no answer after the first, and in no log', async () => {
  const rotated = await post(`/v1/webhooks/${hook.id}/rotate-secret`)
  expect(rotated.body.secret).toMatch(/^whsec_/)
  await post(`/v1/webhooks/${hook.id}/test`)
  const seen = await Promise.all(
    ['', '/deliveries', '/replays'].map(async (rest) => (await get(`/v1/webhooks/${hook.id}${rest}`)).text),
  )
  for (const canary of [hook.secret, rotated.body.secret, 'header-canary']) {
    expect(seen.join()).not.toContain(canary)
    expect(api.logged()).not.toContain(canary)
  }
  expect(String(receiver.received[0]?.headers['webhook-signature']).split(' ')).toHaveLength(2)
})

test('header values are sent to no other origin than the one they were given for, unless they are given again', async () => {
  const elsewhere = await startReceiver()
  try {
    const path = `/v1/webhooks/${hook.id}`
    const patch = (json: unknown) => api.call('PATCH', path, { key: session.key, json })
    const refused = await patch({ url: elsewhere.url, events: ['*'] })
    expect(refused.body).toMatchObject({ status: 400, code: 'invalid_request', errors: [{ path: 'headers' }] })
    expect((await get(path)).body).toMatchObject({ url: receiver.url, events: ['message.*'], hasHeaders: true })

    const sameOrigin = `${receiver.url}/another/path`
    expect((await patch({ url: sameOrigin })).body).toMatchObject({ url: sameOrigin, hasHeaders: true })
    const moved = await patch({ url: elsewhere.url, headers: {} })
    expect(moved.body).toMatchObject({ url: elsewhere.url, hasHeaders: false })
    await post(`${path}/test`)
    expect(elsewhere.received.map(({ headers }) => headers['x-token'])).toEqual([undefined])
    expect((await patch({ url: receiver.url })).status).toBe(200)
    await patch({ headers: { 'x-token': 'header-canary' } })
    expect((await patch({ url: elsewhere.url, headers: { 'x-token': 'given-again' } })).status).toBe(200)
    await post(`${path}/test`)
    expect(elsewhere.received.at(-1)?.headers['x-token']).toBe('given-again')
  } finally {
    await elsewhere.close()
  }
})

test('endpoints are answered for while Redis is away, without their breakers', async () => {
  await api.redis.stop()
  expect((await get(`/v1/webhooks/${hook.id}`)).body).toMatchObject({ id: hook.id, breaker: null })
  expect((await get('/v1/webhooks')).body.data).toMatchObject([{ id: hook.id, breaker: null }])
  expect((await get('/metrics', api.adminKey)).status).toBe(200)
  await api.redis.start()
  await waitFor('Redis is back', async () => (await get('/readyz')).status === 200)
})
