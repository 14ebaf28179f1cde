// Webhook endpoints over HTTP, and what the API answers while the store cannot be written.
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'

let api: TestApi
let key: string
let sessionId: string
beforeAll(async () => {
  api = await startTestApi()
  const session = await makeSession(api)
  key = session.key
  sessionId = session.id
})
afterAll(() => api.close())

const url = 'http://127.0.0.1:9999/hook'

test('an endpoint is made, read, changed and removed; its secrets are shown once', async () => {
  const json = { url, events: ['message.*', 'session.status'], headers: { 'X-Token': 'canary-value' } }
  const made = await api.call('POST', '/v1/webhooks', { key, json })
  expect(made.status).toBe(201)
  expect(made.headers.location).toBe(`/v1/sessions/${sessionId}/webhooks/${made.body.id}`)
  expect(made.body).toMatchObject({ sessionId, hasHeaders: true, enabled: true, secret: expect.stringMatching(/^whsec_/) })
  const read = await api.call('GET', made.headers.location ?? '', { key })
  expect(read.body).toMatchObject({ id: made.body.id, url, breaker: { state: 'closed', consecutiveFailureCount: 0 } })
  expect(read.text).not.toMatch(/whsec_|canary-value/)
  expect(made.body).toMatchObject({ breaker: read.body.breaker })
  const edited = await api.call('PATCH', `/v1/webhooks/${made.body.id}`, { key, json: { enabled: false, headers: {} } })
  expect(edited.body).toMatchObject({
    enabled: false,
    disabledReason: 'requested',
    hasHeaders: false,
    breaker: read.body.breaker,
  })
  expect((await api.call('DELETE', `/v1/webhooks/${made.body.id}`, { key })).status).toBe(204)
  expect((await api.call('GET', `/v1/webhooks/${made.body.id}`, { key })).status).toBe(404)
  expect(api.logged()).not.toMatch(/whsec_|canary-value/)
})

test('a renewed secret leaves the old one valid for a day', async () => {
  const made = await api.call('POST', '/v1/webhooks', { key, json: { url, events: ['*'] } })
  const rotated = await api.call('POST', `/v1/webhooks/${made.body.id}/rotate-secret`, { key })
  expect(rotated.body.secret).not.toBe(made.body.secret)
  expect(rotated.body.breaker).toEqual({ state: 'closed', openUntil: null, consecutiveFailureCount: 0 })
  expect(Date.parse(rotated.body.previousSecretUntil) - Date.now()).toBeGreaterThan(23 * 3_600_000)
})

test('deliveries are listed in pages and by status', async () => {
  const { key: own } = await makeSession(api, { webhookUrl: url })
  for (const body of ['one', 'two']) {
    await api.call('POST', '/v1/messages', { key: own, json: { to: '254712345678', type: 'text', text: { body } } })
  }
  const [hook] = (await api.call('GET', '/v1/webhooks', { key: own })).body.data
  const first = await api.call('GET', `/v1/webhooks/${hook.id}/deliveries?limit=2&status=pending`, { key: own })
  expect(first.body.data.map((delivery: { eventType: string }) => delivery.eventType)).toEqual([
    'message.queued',
    'message.queued',
  ])
  const rest = await api.call('GET', `/v1/webhooks/${hook.id}/deliveries?cursor=${first.body.nextCursor}`, { key: own })
  expect(rest.body.data).toMatchObject([{ eventType: 'session.status', status: 'pending', attempts: [] }])
  expect((await api.call('GET', `/v1/webhooks/${hook.id}/deliveries?status=dead`, { key: own })).body.data).toEqual([])
})

test.each([
  ['an event that is none', { url, events: ['message.flew'] }, 'events.0'],
  ['no events', { url, events: [] }, 'events'],
  ['a reserved header', { url, events: ['*'], headers: { 'Webhook-Id': 'x' } }, 'headers.Webhook-Id'],
  ['a header with a line break', { url, events: ['*'], headers: { 'X-A': 'a\r\nB: c' } }, 'headers.X-A'],
])('%s is refused', async (_what, json, path) => {
  const answer = await api.call('POST', '/v1/webhooks', { key, json })
  expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request', errors: [{ path }] })
})

test('while the store cannot be written: 503, nothing stored, and the same key is good for the retry', async () => {
  const { key: own } = await makeSession(api)
  const json = { to: '254712345678', type: 'text', text: { body: 'x' } }
  const headers = { 'idempotency-key': 'during-the-outage' }
  const other = new DatabaseSync(api.storePath)
  other.exec('BEGIN IMMEDIATE')
  try {
    const answer = await api.call('POST', '/v1/messages', { key: own, headers, json })
    expect(answer.body).toMatchObject({ status: 503, code: 'store_unavailable' })
    expect(answer.headers['retry-after']).toBeDefined()
    expect((await api.call('GET', '/v1/messages', { key: own })).body.data).toEqual([])
  } finally {
    other.exec('ROLLBACK')
    other.close()
  }
  const retried = await api.call('POST', '/v1/messages', { key: own, headers, json })
  expect(retried.status).toBe(202)
  expect(retried.headers['idempotent-replayed']).toBeUndefined()
})
