// Walks every route of the table with every kind of key that must not get through.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pathsOf, type Route } from '../../src/http/route.ts'
import { routeTable } from '../../src/http/route-table.ts'
import { newSecret } from '../../src/platform/crypto.ts'
import { newId } from '../../src/platform/id.ts'
import { scopes } from '../../src/store/key-store.ts'
import { makeKey, makeSession, startTestApi, type TestApi } from '../support/api.ts'

interface Things {
  session: { id: string; key: string }
  messageId: string
  webhookId: string
  deliveryId: string
  replayId: string
  keyId: string
}

let api: TestApi
let own: Things
let foreign: Things
let deleted: Things
let expiredKey: string
let orphanKey: string

beforeAll(async () => {
  api = await startTestApi()
  own = await makeThings()
  foreign = await makeThings()
  deleted = await makeThings()
  orphanKey = deleted.session.key
  // No worker runs: everything of it is still there.
  await api.call('DELETE', `/v1/sessions/${deleted.session.id}`, { key: api.adminKey })
  const end = Date.now() + 400
  expiredKey = await makeKey(api, own.session, [...scopes], new Date(end).toISOString())
  await sleep(Math.max(0, end - Date.now()) + 5)
})
afterAll(() => api.close())

async function makeThings(): Promise<Things> {
  const session = await makeSession(api)
  const { key } = session
  const message = await api.call('POST', '/v1/messages', { key, json: { to: '254712345678', type: 'text', text: { body: 'x' } } })
  const hook = await api.call('POST', '/v1/webhooks', { key, json: { url: 'http://127.0.0.1:9999/hook', events: ['*'] } })
  const made = await api.call('POST', `/v1/sessions/${session.id}/keys`, { key, json: { scopes: ['read'] } })
  expect([message.status, hook.status, made.status]).toEqual([202, 201, 201])
  const [delivery] = await api.store.deliveries.create([
    {
      eventId: newId('evt'),
      endpointId: hook.body.id,
      sessionId: session.id,
      eventType: 'message.sent',
      nextAttemptAt: Date.now(),
    },
  ])
  const replay = await api.call('POST', `/v1/webhooks/${hook.body.id}/replay`, {
    key,
    json: { since: new Date(0).toISOString() },
  })
  expect(replay.status).toBe(202)
  // Nobody will pair it, so that asking for its QR code need not wait.
  await api.call('POST', `/v1/sessions/${session.id}/disconnect`, { key })
  return {
    session,
    messageId: message.body.id,
    webhookId: hook.body.id,
    keyId: made.body.id,
    deliveryId: delivery?.id ?? '',
    replayId: replay.body.id,
  }
}

function fill(path: string, things: Things): string {
  return path
    .replace('{sessionId}', things.session.id)
    .replace('{messageId}', things.messageId)
    .replace('{webhookId}', things.webhookId)
    .replace('{keyId}', things.keyId)
    .replace('{deliveryId}', things.deliveryId)
    .replace('{replayId}', things.replayId)
}

const every = routeTable.flatMap((route) => pathsOf(route).map((path) => ({ name: `${route.method} ${path}`, route, path })))
const guarded = every.filter(({ route }) => route.access !== 'open')
const ofSession = guarded.filter(({ path }) => path.includes('{sessionId}'))
const method = (route: Route) => route.method.toUpperCase()

/** Bodies for the calls that need more than `{}` to be looked at. */
const valid: Record<string, unknown> = {
  sendMessage: { to: '254712345678', type: 'text', text: { body: 'x' } },
  sendBatch: { messages: [{ to: '254712345678', type: 'text', text: { body: 'x' } }] },
  createKey: { scopes: ['read'] },
  createWebhook: { url: 'http://127.0.0.1:9999/hook', events: ['*'] },
  startReplay: { since: '2026-01-01T00:00:00Z' },
  checkContacts: { phoneNumbers: ['254712345678'] },
}

/** What tells two answers apart, but for the id of the request. */
function visible(answer: Awaited<ReturnType<TestApi['call']>>) {
  const { requestId: _requestId, ...body } = answer.body
  const { 'x-request-id': _id, date: _date, ...headers } = answer.headers
  return { status: answer.status, body, headers }
}

test('the table is walked, and every path in it is filled in', () => {
  expect(guarded.length).toBeGreaterThan(40)
  expect(every.filter(({ path }) => fill(path, own).includes('{'))).toEqual([])
  expect(new Set(every.map(({ name }) => name)).size).toBe(every.length)
})

describe('without a valid key', () => {
  test.each(guarded)('$name is 401', async ({ route, path }) => {
    const target = fill(path, own)
    const attempts: Record<string, Record<string, string>> = {
      none: {},
      unknown: { authorization: `Bearer ${newSecret('uj_ses_')}` },
      'unknown admin': { authorization: `Bearer ${newSecret('uj_admin_')}` },
      'not a key': { authorization: 'Bearer x' },
      'other scheme': { authorization: `Basic ${Buffer.from(`a:${own.session.key}`).toString('base64')}` },
      'in the other header': { 'x-api-key': newSecret('uj_ses_') },
      'a key that is cut': { authorization: `Bearer ${own.session.key.slice(0, -1)}` },
      expired: { authorization: `Bearer ${expiredKey}` },
      'of a deleted session': { 'x-api-key': orphanKey },
      'a forged cookie': { cookie: `ujumbe_session=${Math.floor(Date.now() / 1000) + 9999}.abc.forged` },
    }
    for (const [kind, headers] of Object.entries(attempts)) {
      const answer = await api.call(method(route), target, { headers })
      expect(answer.status, kind).toBe(401)
      expect(answer.headers['www-authenticate'], kind).toContain('Bearer')
    }
  })
})

describe('the key of another session', () => {
  test.each(ofSession)('$name is 404, as for a session that does not exist', async ({ route, path }) => {
    const { key } = own.session
    const missing = { ...foreign, session: { ...foreign.session, id: newId('ses') } }
    const body = { raw: '{"unread": true' }
    const theirs = await api.call(method(route), fill(path, foreign), { key, ...body })
    const nobodys = await api.call(method(route), fill(path, missing), { key, ...body })
    expect(theirs.status).toBe(404)
    expect(visible(theirs)).toEqual(visible(nobodys))
    const withoutScope = await makeKey(api, own.session, [route.access === 'read' ? 'send' : 'read'])
    expect(visible(await api.call(method(route), fill(path, foreign), { key: withoutScope }))).toEqual(visible(nobodys))
  })

  test.each(guarded.filter(({ path }) => !path.includes('{sessionId}') && /\{\w+\}/.test(path)))(
    '$name reaches nothing of it by the short path',
    async ({ route, path }) => {
      const json = route.body ? { json: valid[route.id] ?? {} } : {}
      const theirs = await api.call(method(route), fill(path, foreign), { key: own.session.key, ...json })
      const missing = {
        ...foreign,
        messageId: newId('msg'),
        webhookId: newId('whk'),
        keyId: newId('key'),
        deliveryId: newId('dlv'),
        replayId: newId('rpl'),
      }
      const nobodys = await api.call(method(route), fill(path, missing), { key: own.session.key, ...json })
      expect(theirs.status).toBe(404)
      expect(visible(theirs)).toEqual(visible(nobodys))
    },
  )

  test.each(ofSession.filter(({ path }) => /\{(messageId|webhookId|keyId|deliveryId|replayId)\}/.test(path)))(
    '$name reaches nothing of it under its own session',
    async ({ route, path }) => {
      const target = fill(path, { ...foreign, session: own.session })
      const answer = await api.call(method(route), target, {
        key: own.session.key,
        ...(route.body ? { json: valid[route.id] ?? {} } : {}),
      })
      expect(answer.status).toBe(404)
    },
  )
})

describe('a session key', () => {
  test.each(guarded.filter(({ route }) => route.access === 'admin'))(
    '$name is 403, being for admins',
    async ({ route, path }) => {
      const answer = await api.call(method(route), fill(path, own), { key: own.session.key })
      expect(answer.body).toMatchObject({ status: 403, code: 'admin_only' })
    },
  )

  test.each(guarded.filter(({ route }) => route.access !== 'admin'))(
    '$name is 403 without its scope, and not with it',
    async ({ route, path }) => {
      const others = scopes.filter((scope) => scope !== route.access)
      const without = await makeKey(api, own.session, others)
      const refused = await api.call(method(route), fill(path, own), { key: without, raw: 'not even JSON' })
      expect(refused.body).toMatchObject({ status: 403, code: 'missing_scope' })
      const things = await makeThings()
      const just = await makeKey(api, things.session, [route.access])
      const passed = await api.call(method(route), fill(path, things), { key: just, raw: ' ' })
      expect([401, 403, 404, 500]).not.toContain(passed.status)
    },
  )
})

describe('an admin key', () => {
  test.each(guarded.filter(({ route, path }) => route.target === 'session' && !path.includes('{sessionId}')))(
    '$name asks for the session by name',
    async ({ route, path }) => {
      const answer = await api.call(method(route), fill(path, own), { key: api.adminKey })
      expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request' })
    },
  )

  test.each(ofSession)('$name is 404 for a session that does not exist, or whose id is none', async ({ route, path }) => {
    for (const id of [newId('ses'), 'ses_x', newId('msg'), '%20', "' OR 1=1", '..%2f..%2fetc']) {
      const target = fill(path, { ...own, session: { id: encodeURI(id), key: '' } })
      const answer = await api.call(method(route), target, { key: api.adminKey, json: valid[route.id] ?? {} })
      expect(answer.body, id).toMatchObject({ status: 404, code: 'not_found' })
    }
  })

  // What deletes comes last: what is gone would be 404 in any case.
  const deletesLast = ofSession.toSorted((a, b) => Number(a.route.method === 'delete') - Number(b.route.method === 'delete'))
  test.each(deletesLast)('$name is 404 for a deleted session, before its holder has finished it', async ({ route, path }) => {
    const answer = await api.call(method(route), fill(path, deleted), { key: api.adminKey, json: valid[route.id] ?? {} })
    expect(answer.body).toMatchObject({ status: 404, code: 'not_found' })
  })

  test('sees the endpoints of all with the short path, and makes them for the fleet', async () => {
    const made = await api.call('POST', '/v1/webhooks', {
      key: api.adminKey,
      json: { url: 'http://127.0.0.1:9999/fleet', events: ['session.*'] },
    })
    expect(made.body.sessionId).toBeNull()
    const all = await api.call('GET', '/v1/webhooks?limit=200', { key: api.adminKey })
    const ids = all.body.data.map((hook: { id: string }) => hook.id)
    expect(ids).toEqual(expect.arrayContaining([made.body.id, own.webhookId, foreign.webhookId]))
    expect((await api.call('GET', `/v1/webhooks/${made.body.id}`, { key: own.session.key })).status).toBe(404)
    const mine = await api.call('GET', '/v1/webhooks', { key: own.session.key })
    expect(mine.body.data.map((hook: { id: string }) => hook.id)).toEqual([own.webhookId])
  })
})

test('open routes need no key and hold no data', async () => {
  for (const { route, path } of every.filter((entry) => entry.route.access === 'open' && entry.route.method === 'get')) {
    const answer = await api.call(method(route), path)
    expect(answer.status, path).toBe(200)
    expect(answer.text, path).not.toContain(own.session.id)
  }
})

test('secrets of requests are in no log line', () => {
  for (const secret of [own.session.key, foreign.session.key, orphanKey, expiredKey, api.adminKey, '254712345678']) {
    expect(api.logged()).not.toContain(secret)
  }
})
