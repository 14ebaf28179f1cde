// Redis away, readiness, Bull Board, the reference pages, and an orderly end.
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'
import { waitFor } from '../support/wait.ts'

let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.close())

const message = { to: '254712345678', type: 'text', text: { body: 'x' } }
describe('Redis away', () => {
  const outages = {
    stopped: { withinMs: 2_000, begin: () => api.redis.stop(), end: () => api.redis.start() },
    hanging: { withinMs: 3_000, begin: () => Promise.resolve(api.redis.pause()), end: () => Promise.resolve(api.redis.resume()) },
  }
  test.each(Object.entries(outages))('%s: 503 at once and nothing stored; afterwards all is as before', async (_name, outage) => {
    const { id, key } = await makeSession(api)
    await outage.begin()
    try {
      for (const [method, path, json] of [
        ['POST', '/v1/messages', message],
        ['POST', `/v1/sessions/${id}/disconnect`, {}],
        ['POST', '/v1/contacts/check', { phoneNumbers: ['254712345678'] }],
        ['GET', '/v1/qr', undefined],
        ['GET', '/readyz', undefined],
      ] as const) {
        const startedAt = performance.now()
        const answer = await api.call(method, path, { key, json })
        expect(answer.body, path).toMatchObject({ status: 503, code: 'redis_unavailable' })
        expect(performance.now() - startedAt, path).toBeLessThan(outage.withinMs)
        expect(Number(answer.headers['retry-after']), path).toBeGreaterThan(0)
      }
      const created = await api.call('POST', '/v1/sessions', { key: api.adminKey, json: { displayName: 'Never made' } })
      expect(created.body.code).toBe('redis_unavailable')
      expect((await api.call('GET', '/livez')).status).toBe(200)
      expect((await api.call('GET', '/v1/messages', { key })).body.data).toEqual([])
      const found = await api.call('GET', '/v1/sessions?search=Never', { key: api.adminKey })
      expect(found.body.data).toEqual([])
    } finally {
      await outage.end()
    }
    await waitFor('it is ready again', async () => (await api.call('GET', '/readyz')).status === 200)
    expect((await api.call('POST', '/v1/messages', { key, json: message })).status).toBe(202)
    expect((await api.store.sessions.get(id))?.intent).toBe('connect')
  })
})

describe('Bull Board', () => {
  const asAdmin = () => ({ key: api.adminKey })

  test('is for admins: programs get a 401, people the form', async () => {
    const { key } = await makeSession(api)
    for (const path of ['/queues', '/queues/', '/queues/api/queues', '/queues/static/js/main.js']) {
      expect((await api.call('GET', path)).status, path).toBe(401)
      expect((await api.call('GET', path, { key })).body.code, path).toBe('admin_only')
    }
    const person = await api.call('GET', '/queues', { headers: { accept: 'text/html,*/*;q=0.8' } })
    expect(person).toMatchObject({ status: 303, headers: { location: '/sign-in?next=/queues' } })
  })

  test('loads nothing from another host', async () => {
    const page = await api.call('GET', '/queues', asAdmin())
    expect(page.status).toBe(200)
    expect(page.text).not.toMatch(/(?:src|href)="(?:https?:)?\/\//)
    expect(page.headers['content-security-policy']).toContain("default-src 'none'")
    const [, script = ''] = /src="(static\/js\/main[^"]+)"/.exec(page.text) ?? []
    expect((await api.call('GET', `/queues/${script}`, asAdmin())).status).toBe(200)
  })

  test('shows the fixed queues, and of the send queues those with messages, read-only', async () => {
    const { id, key } = await makeSession(api)
    const idle = await makeSession(api)
    await api.call('POST', '/v1/messages', { key, json: message })
    const listed = await waitFor('the queue is on the board', async () => {
      const { body } = await api.call('GET', '/queues/api/queues', asAdmin())
      return body.queues.some((queue: { name: string }) => queue.name === `send-${id}`) ? body.queues : undefined
    })
    const names = listed.map((queue: { name: string }) => queue.name)
    expect(names).toEqual(expect.arrayContaining(['webhook-deliveries', 'webhook-retries', 'ticks']))
    expect(names).not.toContain(`send-${idle.id}`)
    const queue = listed.find(({ name }: { name: string }) => name === `send-${id}`)
    expect(queue).toMatchObject({ readOnlyMode: true, counts: { prioritized: 1 } })
    expect(JSON.stringify(listed)).not.toContain('254712345678')
  })

  test.each([
    ['PUT', '/queues/api/queues/pause'],
    ['PUT', '/queues/api/queues/webhook-deliveries/pause'],
    ['PUT', '/queues/api/queues/webhook-deliveries/empty'],
    ['PUT', '/queues/api/queues/webhook-deliveries/obliterate'],
    ['PUT', '/queues/api/queues/webhook-deliveries/clean/failed'],
    ['PUT', '/queues/api/queues/webhook-deliveries/promote'],
    ['PUT', '/queues/api/queues/webhook-deliveries/concurrency'],
    ['PUT', '/queues/api/queues/webhook-deliveries/rate-limit'],
    ['POST', '/queues/api/queues/webhook-deliveries/add'],
    ['PUT', '/queues/api/queues/webhook-deliveries/x/clean'],
    ['PUT', '/queues/api/queues/webhook-deliveries/x/promote'],
    ['PATCH', '/queues/api/queues/webhook-deliveries/x/update-data'],
  ])('%s %s is refused', async (method, path) => {
    const response = await fetch(api.url + path, { method, headers: { authorization: `Bearer ${api.adminKey}` } })
    expect(response.status).toBe(403)
    await response.body?.cancel()
  })

  test('allows a retry', async () => {
    const headers = { authorization: `Bearer ${api.adminKey}` }
    const retried = await fetch(`${api.url}/queues/api/queues/webhook-deliveries/retry/failed`, { method: 'PUT', headers })
    expect(retried.status).toBe(200)
    await retried.body?.cancel()
  })
})

describe('reference', () => {
  test('the pages load nothing from another host and run only our scripts', async () => {
    for (const path of ['/', '/docs', '/docs/errors', '/sign-in']) {
      const page = await api.call('GET', path)
      expect(page.text, path).not.toMatch(/(?:src|href|action)="(?:https?:)?\/\//)
      expect(page.headers['content-security-policy'], path).toMatch(/default-src 'none';script-src 'self'/)
      for (const [, asset = ''] of page.text.matchAll(/(?:src|href)="(\/[^"#]+\.(?:js|css))"/g)) {
        expect((await api.call('GET', asset)).status, asset).toBe(200)
      }
    }
    expect((await api.call('GET', '/docs/assets/start.js')).text).toContain('validatorUrl: null')
  })

  test('metrics know the requests by their routes, and hold no ids', async () => {
    const { id, key } = await makeSession(api)
    await api.call('GET', `/v1/sessions/${id}`, { key })
    const { text } = await api.call('GET', '/metrics', { key: api.adminKey })
    expect(text).toMatch(
      /ujumbe_http_request_duration_seconds_count\{method="GET",route="\/v1\/sessions\/\{sessionId\}",status="200",process="api",host="[^"]+",pid="\d+"\} \d/,
    )
    expect(text).toMatch(/ujumbe_sessions\{status="pending"\} \d/)
    expect(text).toContain('ujumbe_nodejs_eventloop_lag_seconds')
    expect(text).not.toContain(id)
  })
})

test('an API that stops lets requests end, says that it is going, and takes no more', async () => {
  const own = await startTestApi()
  const { key } = await makeSession(own)
  // Waits for a QR code that nobody brings; "100 Continue" says that the server has it.
  const headers = { authorization: `Bearer ${key}`, expect: '100-continue' }
  const waiting = request({ port: own.port, host: '127.0.0.1', path: '/v1/qr', headers })
  waiting.end()
  await once(waiting, 'continue')
  const answered = once(waiting, 'response') as Promise<[IncomingMessage]>
  await own.stop()
  const [answer] = await answered
  answer.resume()
  expect(answer.statusCode).toBe(409)
  expect(answer.headers.connection).toBe('close')
  await expect(own.call('GET', '/livez')).rejects.toThrow(/ECONNREFUSED/)
  await own.close()
})
