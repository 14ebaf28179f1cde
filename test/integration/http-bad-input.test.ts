// Bad input at every route: a 4xx problem with a declared code, never a 5xx, never HTML, and nothing stored.
import { connect } from 'node:net'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pathsOf, type Route } from '../../src/http/route.ts'
import { routeTable } from '../../src/http/route-table.ts'
import { newId } from '../../src/platform/id.ts'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'

let api: TestApi
let session: { id: string; key: string }
let ids: Record<string, string>

beforeAll(async () => {
  api = await startTestApi()
  session = await makeSession(api)
  const { key } = session
  await api.call('POST', `/v1/sessions/${session.id}/disconnect`, { key })
  const message = await api.call('POST', '/v1/messages', { key, json: { to: '254712345678', type: 'text', text: { body: 'x' } } })
  const hook = await api.call('POST', '/v1/webhooks', { key, json: { url: 'http://127.0.0.1:9999/', events: ['*'] } })
  const made = await api.call('POST', `/v1/sessions/${session.id}/keys`, { key, json: { scopes: ['read'] } })
  ids = { sessionId: session.id, messageId: message.body.id, webhookId: hook.body.id, keyId: made.body.id }
})
afterAll(() => api.close())

const fill = (path: string, values: Record<string, string>) =>
  path.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? newId('dlv'))
const method = (route: Route) => route.method.toUpperCase()
const every = routeTable.map((route) => ({ name: `${route.method} ${route.path}`, route }))
const withBody = every.filter(({ route }) => route.body && route.access !== 'open')

describe('bodies', () => {
  test.each(withBody)('$name refuses what is no JSON, too large, or of another type', async ({ route }) => {
    const target = fill(route.path, ids)
    const send = (raw: string | Buffer, headers: Record<string, string> = {}) =>
      api.call(method(route), target, { key: api.adminKey, raw, headers })
    for (const raw of ['{', '{"a":}', 'undefined', '{"a":1}{', '\u0000', '"\ud800', Buffer.from([0xff, 0xfe, 0x00])]) {
      expect((await send(raw)).body).toMatchObject({ status: 400, code: 'malformed_json' })
    }
    expect((await send(`{"a":"${'x'.repeat(1_048_576)}"}`)).body).toMatchObject({ status: 413, code: 'body_too_large' })
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      '',
      'application/jsonx',
    ]) {
      expect((await send('{}', { 'content-type': type })).body).toMatchObject({ status: 415, code: 'unsupported_media_type' })
    }
    expect((await send('{}', { 'content-type': 'application/json; charset=koi8-r' })).body.code).toBe('unsupported_media_type')
    expect((await send('{}', { 'content-encoding': 'gzip' })).body.code).toBe('unsupported_media_type')
  })

  test.each(withBody)(
    '$name refuses values of the wrong shape and fields it does not know, by their paths',
    async ({ route }) => {
      const target = fill(route.path, ids)
      for (const raw of ['null', '1', '"text"', '[]', '[{}]', 'true', '{"__proto__":{"a":1}}', '{"constructor":1}']) {
        const answer = await api.call(method(route), target, { key: api.adminKey, raw })
        expect(answer.body, raw).toMatchObject({ status: 400, code: 'invalid_request' })
        expect(answer.body.errors.length, raw).toBeGreaterThan(0)
      }
      const unknown = await api.call(method(route), target, { key: api.adminKey, json: { surprise: 1 } })
      expect(unknown.body.errors).toContainEqual({ path: 'surprise', message: 'is not a known field' })
    },
  )

  test('a body beyond the limit is refused although its length was not told', async () => {
    const raw = Buffer.alloc(1_500_000, 'x')
    const headers = { 'transfer-encoding': 'chunked' }
    const answer = await api.call('POST', '/v1/sessions', { key: api.adminKey, raw, headers })
    expect(answer.body.code).toBe('body_too_large')
  })
})

const message = { to: '254712345678', type: 'text', text: { body: 'x' } }
const badMessages: [string, string, unknown][] = [
  ['no recipient', 'to', { type: 'text', text: { body: 'x' } }],
  ['a recipient that is no number', 'to', { ...message, to: 'nobody' }],
  ['a local number', 'to', { ...message, to: '0712345678' }],
  ['another server', 'to', { ...message, to: '254712345678@example.com' }],
  ['a number as number', 'to', { ...message, to: 254712345678 }],
  ['a very long recipient', 'to', { ...message, to: '2'.repeat(101) }],
  ['no type', 'type', { to: message.to, text: { body: 'x' } }],
  ['an unknown type', 'type', { ...message, type: 'fax' }],
  ['no text', 'text', { to: message.to, type: 'text' }],
  ['an empty text', 'text.body', { ...message, text: { body: '' } }],
  ['a text too long', 'text.body', { ...message, text: { body: 'x'.repeat(65_537) } }],
  ['half a surrogate pair', 'text.body', { ...message, text: { body: 'a\ud800b' } }],
  ['a NUL', 'text.body', { ...message, text: { body: 'a\u0000b' } }],
  ['a field of another type', 'image', { ...message, image: { url: 'https://example.com' } }],
  ['an unknown field in the text', 'text.bold', { ...message, text: { body: 'x', bold: true } }],
  ['an unknown priority', 'priority', { ...message, priority: 'urgent' }],
  ['a time that is none', 'sendAt', { ...message, sendAt: 'tomorrow' }],
  ['mentions that are no numbers', 'mentions.1', { ...message, mentions: ['254712345678', 'x'] }],
  ['an answer to a message that is not there', 'replyTo', { ...message, replyTo: newId('msg') }],
  ['a long reference', 'clientReference', { ...message, clientReference: 'x'.repeat(256) }],
]
const badSessions: [string, string, unknown][] = [
  ['no name', 'displayName', {}],
  ['an empty name', 'displayName', { displayName: '' }],
  ['a long name', 'displayName', { displayName: 'x'.repeat(101) }],
  [
    'too many metadata',
    'metadata',
    { displayName: 'x', metadata: Object.fromEntries([...Array(51).keys()].map((n) => [`k${n}`, ''])) },
  ],
  ['long metadata', 'metadata.a', { displayName: 'x', metadata: { a: 'x'.repeat(501) } }],
  ['metadata that JavaScript would lose', 'metadata.__proto__', { displayName: 'x', metadata: JSON.parse('{"__proto__":"a"}') }],
  ['metadata that are no text', 'metadata.a', { displayName: 'x', metadata: { a: 1 } }],
  ['a setting that is not known', 'settings.speed', { displayName: 'x', settings: { speed: 1 } }],
  ['a depth of nothing', 'settings.maxQueueDepth', { displayName: 'x', settings: { maxQueueDepth: 0 } }],
  ['a pairing number that is none', 'pairingPhoneNumber', { displayName: 'x', pairingPhoneNumber: 'x' }],
]

describe('fields', () => {
  test.each(badMessages)('a message with %s names %s', async (_what, path, json) => {
    const before = await api.call('GET', '/v1/messages?limit=200', { key: session.key })
    const answer = await api.call('POST', '/v1/messages', { key: session.key, json })
    expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request' })
    expect(answer.body.errors.map((fault: { path: string }) => fault.path)).toContain(path)
    const after = await api.call('GET', '/v1/messages?limit=200', { key: session.key })
    expect(after.body.data.length).toBe(before.body.data.length)
  })

  test.each(badSessions)('a session with %s names %s', async (_what, path, json) => {
    const answer = await api.call('POST', '/v1/sessions', { key: api.adminKey, json })
    expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request' })
    expect(answer.body.errors.map((fault: { path: string }) => fault.path)).toContain(path)
  })

  test.each([
    'http://169.254.169.254/',
    'http://10.0.0.1/',
    'ftp://example.com/',
    'not a url',
    'http://0/',
    'http://127.0.0.1:22/',
  ])('a webhook to %s is refused', async (url) => {
    const direct = await api.call('POST', '/v1/webhooks', { key: session.key, json: { url, events: ['*'] } })
    const atCreation = await api.call('POST', '/v1/sessions', { key: api.adminKey, json: { displayName: 'x', webhookUrl: url } })
    const edited = await api.call('PATCH', `/v1/webhooks/${ids['webhookId']}`, { key: session.key, json: { url } })
    expect([direct.body.code, atCreation.body.code, edited.body.code]).toEqual(Array(3).fill('url_not_allowed'))
  })

  test('faults are listed up to a limit, without the values that were sent', async () => {
    const json = Object.fromEntries([...Array(100).keys()].map((n) => [`canary${n}${'y'.repeat(1_000)}`, 'hidden value']))
    const answer = await api.call('POST', '/v1/messages', { key: session.key, json })
    expect(answer.body.errors).toHaveLength(20)
    expect(answer.text).not.toContain('hidden value')
    expect(answer.text.length).toBeLessThan(10_000)
  })
})

describe('addresses', () => {
  const lists = every.filter(({ route }) => route.method === 'get' && route.query && route.access !== 'open')

  test.each(lists)('$name refuses limits, cursors and parameters that make no sense', async ({ route }) => {
    const queries = [
      'limit=0',
      'limit=201',
      'limit=-1',
      'limit=0x10',
      'limit=x',
      'limit=',
      'limit=1&limit=2',
      'limit[]=1',
      'cursor=',
      'cursor=%00',
      'cursor=x',
      `cursor=${Buffer.from('[1.5,2,3,4]').toString('base64url')}`,
      `cursor=${Buffer.from('[9e99,"x"]').toString('base64url')}`,
      `cursor=${Buffer.from('{"a":1}').toString('base64url')}`,
      `cursor=${Buffer.from('[1,"req_of another list"]').toString('base64url')}`,
      `cursor=${'x'.repeat(501)}`,
      'surprise=1',
      '__proto__=1',
      'status=nonsense&since=yesterday',
    ]
    for (const query of queries) {
      const answer = await api.call('GET', `${fill(route.path, ids)}?${query}`, { key: api.adminKey })
      expect(answer.body, query).toMatchObject({ status: 400, code: 'invalid_request' })
    }
  })

  test.each(every)('$name answers 405 with Allow to methods it does not know', async ({ route }) => {
    const known = routeTable.filter((other) => pathsOf(other).includes(route.path)).map(method)
    const path = fill(route.path, ids)
    for (const other of ['PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND'].filter((name) => !known.includes(name))) {
      const answer = await api.call(other, path)
      expect(answer.body, other).toMatchObject({ status: 405, code: 'method_not_allowed' })
      expect(answer.headers.allow?.split(', ')).toEqual(expect.arrayContaining(known))
    }
  })

  test.each([
    '/v1',
    '/v1/nothing',
    '/v1/messages/',
    '/V1/messages',
    '/v1//messages',
    '/%',
    '/v1/%zz',
    '/v1/sessions/%E0%A4%A',
    '/../etc',
  ])('%s is 404', async (path) => expect((await api.call('GET', path, { key: api.adminKey })).body.code).toBe('not_found'))

  test('HEAD answers as GET does, without a body', async () => {
    const answer = await api.call('HEAD', '/v1/messages', { key: session.key })
    expect([answer.status, answer.text]).toEqual([200, ''])
    expect((await api.call('HEAD', '/v1/messages')).status).toBe(401)
  })
})

describe('what is no HTTP', () => {
  const exchange = (bytes: string) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect(api.port, '127.0.0.1', () => socket.write(bytes))
      let text = ''
      socket.setTimeout(5_000, () => socket.destroy(new Error('no answer')))
      socket.on('data', (chunk) => (text += chunk.toString()))
      socket.on('error', reject)
      socket.on('close', () => resolve(text))
    })

  test.each([
    ['nonsense', 'nonsense\r\n\r\n', '400', 'invalid_request'],
    ['a bad header', 'GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n', '400', 'invalid_request'],
    ['headers without end', `GET / HTTP/1.1\r\nHost: x\r\nA: ${'x'.repeat(20_000)}\r\n\r\n`, '431', 'headers_too_large'],
    ['no host', 'GET / HTTP/1.1\r\n\r\n', '400', 'invalid_request'],
    ['two hosts', 'GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n', '400', 'invalid_request'],
    ['an odd expectation', 'GET /x HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nConnection: close\r\n\r\n', '404', 'not_found'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', '400', 'invalid_request'],
  ])('%s is a problem too', async (_what, bytes, status, code) => {
    const answer = await exchange(bytes)
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(answer).toContain('application/problem+json')
    expect(answer).toContain(`"code":"${code}"`)
  })
})

test('whatever is sent, the answer is never a 5xx', async () => {
  const word = fc.oneof(fc.string({ unit: 'binary', maxLength: 30 }), fc.constantFrom('text', '254712345678', '*', 'read'))
  const names = fc.oneof(
    fc.constantFrom(
      'to',
      'type',
      'text',
      'body',
      'displayName',
      'settings',
      'metadata',
      'url',
      'events',
      'headers',
      'scopes',
      'phoneNumbers',
    ),
    fc.string({ maxLength: 10 }),
  )
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { depthSize: 'small' },
      word,
      fc.double(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      tie('list'),
      tie('object'),
    ),
    list: fc.array(tie('json'), { maxLength: 4 }),
    object: fc.dictionary(names, tie('json'), { maxKeys: 6 }),
  }))
  const plans = fc.record({
    route: fc.constantFrom(...routeTable.filter((route) => route.id !== 'deleteSession')),
    body: json,
    query: fc.option(fc.dictionary(fc.constantFrom('limit', 'cursor', 'status', 'to', 'since', 'x'), word, { maxKeys: 3 })),
    id: fc.option(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 })),
    idempotencyKey: fc.option(fc.string({ maxLength: 20 })),
  })
  await fc.assert(
    fc.asyncProperty(plans, async ({ route, body, query, id, idempotencyKey }) => {
      const values = id === null ? ids : Object.fromEntries(Object.keys(ids).map((name) => [name, encodeURIComponent(id)]))
      const search = query === null ? '' : `?${new URLSearchParams(query).toString()}`
      const headers = idempotencyKey === null ? {} : { 'idempotency-key': encodeURIComponent(idempotencyKey) }
      const answer = await api.call(method(route), fill(route.path, values) + search, {
        key: api.adminKey,
        headers,
        ...(route.body ? { json: body } : {}),
      })
      expect(answer.status).toBeLessThan(500)
    }),
    { numRuns: 600 },
  )
}, 60_000)

test('nothing of all this was unexpected to the server', () => {
  expect(api.logged()).not.toContain('http.failed')
})
