// Sessions, keys and messages over HTTP, against a real store and a real Redis.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeKey, makeSession, startTestApi, type TestApi } from '../support/api.ts'

let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.close())

const text = (to: string, body = 'Habari') => ({ to, type: 'text', text: { body } })

describe('sessions', () => {
  test('a session is created with its key and its endpoint, and is found', async () => {
    const made = await api.call('POST', '/v1/sessions', {
      key: api.adminKey,
      json: { displayName: 'Clinic', webhookUrl: 'http://127.0.0.1:9999/hook', metadata: { tenant: '7' } },
    })
    expect(made.status).toBe(201)
    expect(made.headers.location).toBe(`/v1/sessions/${made.body.id}`)
    expect(made.body.apiKey).toMatch(/^uj_ses_[\w-]{43}$/)
    expect(made.body.webhookSecret).toMatch(/^whsec_/)
    expect(made.body).toMatchObject({
      status: 'pending',
      health: null,
      metadata: { tenant: '7' },
      settings: {
        messagesPerMinute: 20,
        burst: 1,
        perRecipientSeconds: 6,
        newContactsPerDay: 'warmup',
        maxQueueDepth: 10_000,
        pairingTimeoutSeconds: 600,
      },
    })
    const read = await api.call('GET', `/v1/sessions/${made.body.id}`, { key: made.body.apiKey })
    const { apiKey: _apiKey, webhookSecret: _secret, ...resource } = made.body
    expect(read.body).toEqual(resource)
    const hooks = await api.call('GET', '/v1/webhooks', { key: made.body.apiKey })
    expect(hooks.body.data).toMatchObject([{ sessionId: made.body.id, events: ['*'], url: 'http://127.0.0.1:9999/hook' }])
    expect(hooks.text).not.toContain('whsec_')
  })

  test('its creation is an event with a delivery to its own endpoint', async () => {
    const made = await api.call('POST', '/v1/sessions', {
      key: api.adminKey,
      json: { displayName: 'Told', webhookUrl: 'http://127.0.0.1:9999/hook' },
    })
    const [event] = await api.store.events.list({ sessionId: made.body.id, limit: 5 })
    expect(event).toMatchObject({ type: 'session.status', sequence: 1, data: { session: { status: 'pending' } } })
    expect(JSON.stringify(event)).not.toContain(made.body.apiKey)
  })

  test('an admin lists all in pages, a session key sees its own', async () => {
    const own = await makeSession(api, { displayName: 'Lone wolf' })
    await makeSession(api)
    const first = await api.call('GET', '/v1/sessions?limit=1', { key: api.adminKey })
    expect(first.body.data).toHaveLength(1)
    const second = await api.call('GET', `/v1/sessions?limit=1&cursor=${first.body.nextCursor}`, { key: api.adminKey })
    expect(second.body.data[0].id).not.toBe(first.body.data[0].id)
    expect((await api.call('GET', '/v1/sessions', { key: own.key })).body.data.map((s: { id: string }) => s.id)).toEqual([own.id])
    expect((await api.call('GET', '/v1/sessions?status=connected', { key: own.key })).body.data).toEqual([])
    expect((await api.call('GET', '/v1/sessions?search=wolf', { key: own.key })).body.data).toHaveLength(1)
    expect((await api.call('GET', '/v1/sessions?search=wolf', { key: api.adminKey })).body.data).toHaveLength(1)
  })

  test('settings are changed one by one, metadata as a whole', async () => {
    const { id, key } = await makeSession(api, { settings: { maxQueueDepth: 5 }, metadata: { a: '1', b: '2' } })
    const edited = await api.call('PATCH', `/v1/sessions/${id}`, {
      key,
      json: { displayName: 'Renamed', settings: { markOnline: true }, metadata: { c: '3' } },
    })
    expect(edited.body).toMatchObject({ displayName: 'Renamed', settings: { maxQueueDepth: 5, markOnline: true } })
    expect(edited.body.metadata).toEqual({ c: '3' })
  })

  test('intents are stored, answered 202, and raise the revision', async () => {
    const { id, key } = await makeSession(api)
    for (const intent of ['disconnect', 'connect', 'logout'] as const) {
      const before = await api.store.sessions.get(id)
      const answer = await api.call('POST', `/v1/sessions/${id}/${intent}`, { key })
      expect(answer.status).toBe(202)
      const after = await api.store.sessions.get(id)
      expect(after).toMatchObject({ intent, claimable: true, intentRevision: (before?.intentRevision ?? 0) + 1 })
    }
  })

  test('a deleted session is 404 and its keys are unknown at once', async () => {
    const { id, key } = await makeSession(api)
    expect((await api.call('GET', '/v1/messages', { key })).status).toBe(200)
    expect((await api.call('DELETE', `/v1/sessions/${id}`, { key: api.adminKey })).status).toBe(204)
    expect((await api.call('GET', `/v1/sessions/${id}`, { key: api.adminKey })).status).toBe(404)
    expect((await api.call('DELETE', `/v1/sessions/${id}`, { key: api.adminKey })).status).toBe(404)
    expect((await api.call('GET', '/v1/messages', { key })).status).toBe(401)
    expect((await api.store.sessions.get(id))?.deletedAt).toEqual(expect.any(Number))
  })

  test('what a deleted session told is in the log of the fleet for an admin, and nowhere else', async () => {
    const { id, key } = await makeSession(api)
    const place = await api.store.events.newestPlace()
    const drafts = [1, 2].map((n) => ({ type: 'message.sent' as const, data: { n } }))
    await api.store.events.append(id, drafts)
    await api.call('DELETE', `/v1/sessions/${id}`, { key: api.adminKey })
    await api.store.sessions.raiseEpoch(id, 1)
    await api.store.sessions.remove(id, 1)
    const { body } = await api.call('GET', `/v1/events?after=${place}`, { key: api.adminKey })
    const told = body.data.filter((event: { sessionId: string }) => event.sessionId === id)
    expect(told.map(({ type, data }: { type: string; data: unknown }) => ({ type, data }))).toEqual(drafts)
    expect((await api.call('GET', `/v1/sessions/${id}/events`, { key: api.adminKey })).status).toBe(404)
    expect((await api.call('GET', '/v1/events', { key })).status).toBe(401)
  })
})

describe('keys', () => {
  test('are shown once, listed by prefix, renewed and deleted', async () => {
    const session = await makeSession(api)
    const base = `/v1/sessions/${session.id}/keys`
    const made = await api.call('POST', base, { key: session.key, json: { scopes: ['send', 'read'] } })
    expect(made.body).toMatchObject({ scopes: ['read', 'send'], expiresAt: null })
    const list = await api.call('GET', base, { key: session.key })
    expect(list.body.data).toHaveLength(2)
    expect(list.text).not.toContain(made.body.key)
    expect(made.body.key.startsWith(made.body.prefix)).toBe(true)

    const rotated = await api.call('POST', `${base}/${made.body.id}/rotate`, { key: session.key })
    expect(rotated.body.id).toBe(made.body.id)
    expect((await api.call('GET', '/v1/messages', { key: made.body.key })).status).toBe(401)
    expect((await api.call('GET', '/v1/messages', { key: rotated.body.key })).status).toBe(200)
    expect((await api.call('DELETE', `${base}/${made.body.id}`, { key: session.key })).status).toBe(204)
    expect((await api.call('GET', '/v1/messages', { key: rotated.body.key })).status).toBe(401)
    expect((await api.call('DELETE', `${base}/${made.body.id}`, { key: session.key })).status).toBe(404)
  })

  test('grant no more than their maker has, by making or by renewing', async () => {
    const session = await makeSession(api)
    const base = `/v1/sessions/${session.id}/keys`
    const manager = await makeKey(api, session, ['manage'])
    expect((await api.call('POST', base, { key: manager, json: { scopes: ['manage', 'send'] } })).body.code).toBe('missing_scope')
    const { data } = (await api.call('GET', base, { key: manager })).body
    const full = data.find((key: { scopes: string[] }) => key.scopes.length === 3)
    expect((await api.call('POST', `${base}/${full.id}/rotate`, { key: manager })).body.code).toBe('missing_scope')
    expect((await api.call('POST', base, { key: manager, json: { scopes: ['manage'] } })).status).toBe(201)
  })

  test('live no longer than their maker', async () => {
    const session = await makeSession(api)
    const base = `/v1/sessions/${session.id}/keys`
    const until = new Date(Date.now() + 3_600_000).toISOString()
    const later = new Date(Date.now() + 7_200_000).toISOString()
    const brief = await makeKey(api, session, ['read', 'send', 'manage'], until)
    const made = await api.call('POST', base, { key: brief, json: { scopes: ['read'] } })
    expect(made.body.expiresAt).toBe(until)
    const tooLate = await api.call('POST', base, { key: brief, json: { scopes: ['read'], expiresAt: later } })
    expect(tooLate.body).toMatchObject({ code: 'invalid_request', errors: [{ path: 'expiresAt' }] })
    const past = await api.call('POST', base, { key: session.key, json: { scopes: ['read'], expiresAt: '2020-01-01T00:00:00Z' } })
    expect(past.body).toMatchObject({ code: 'invalid_request', errors: [{ path: 'expiresAt' }] })
  })

  test('cannot delete themselves', async () => {
    const session = await makeSession(api)
    const { data } = (await api.call('GET', `/v1/sessions/${session.id}/keys`, { key: session.key })).body
    const answer = await api.call('DELETE', `/v1/sessions/${session.id}/keys/${data[0].id}`, { key: session.key })
    expect(answer.body.code).toBe('last_key')
  })
})

describe('messages', () => {
  test('are accepted under both paths and read back', async () => {
    const { id, key } = await makeSession(api)
    const short = await api.call('POST', '/v1/messages', { key, json: { ...text('+254 712 345 678'), clientReference: 'r-1' } })
    expect(short.status).toBe(202)
    expect(short.body).toMatchObject({
      sessionId: id,
      direction: 'outbound',
      status: 'queued',
      to: { phoneNumber: '254712345678', input: '+254 712 345 678' },
      text: { body: 'Habari' },
      clientReference: 'r-1',
    })
    expect(short.headers.location).toBe(`/v1/sessions/${id}/messages/${short.body.id}`)
    const long = await api.call('POST', `/v1/sessions/${id}/messages`, { key: api.adminKey, json: text('254712345679') })
    const read = await api.call('GET', `/v1/messages/${long.body.id}`, { key })
    expect(read.body).toMatchObject({ id: long.body.id, position: 1 })
    const list = await api.call('GET', '/v1/messages?to=%2B254712345678&status=queued&direction=outbound', { key })
    expect(list.body.data.map((message: { id: string }) => message.id)).toEqual([short.body.id])
    const since = await api.call('GET', `/v1/messages?since=${encodeURIComponent(new Date(Date.now() + 60_000).toISOString())}`, {
      key,
    })
    expect(since.body.data).toEqual([])
  })

  test('are accepted once per Idempotency-Key', async () => {
    const { key } = await makeSession(api)
    const headers = { 'idempotency-key': 'order 4711' }
    const first = await api.call('POST', '/v1/messages', { key, headers, json: text('254712345678') })
    const again = await api.call('POST', '/v1/messages', { key, headers, json: text('254712345678') })
    expect(first.headers['idempotent-replayed']).toBeUndefined()
    expect(again).toMatchObject({ status: 202, headers: { 'idempotent-replayed': 'true' } })
    expect(again.body.id).toBe(first.body.id)
    const other = await api.call('POST', '/v1/messages', { key, headers, json: text('254712345678', 'Other') })
    expect(other.body).toMatchObject({ status: 422, code: 'idempotency_key_reused' })
    const long = await api.call('POST', '/v1/messages', {
      key,
      headers: { 'idempotency-key': 'x'.repeat(256) },
      json: text('254712345678'),
    })
    expect(long.body.code).toBe('invalid_request')
    const list = await api.call('GET', '/v1/messages', { key })
    expect(list.body.data).toHaveLength(1)
  })

  test('beyond maxQueueDepth are refused and not stored', async () => {
    const { key } = await makeSession(api, { settings: { maxQueueDepth: 1 } })
    expect((await api.call('POST', '/v1/messages', { key, json: text('254712345678') })).status).toBe(202)
    const full = await api.call('POST', '/v1/messages', { key, json: text('254712345678') })
    expect(full.body).toMatchObject({ status: 429, code: 'queue_full' })
    expect(Number(full.headers['retry-after'])).toBeGreaterThan(0)
    expect((await api.call('GET', '/v1/messages', { key })).body.data).toHaveLength(1)
  })

  test.each([['type', { type: 'image', text: undefined, image: { url: 'https://example.com/a.png' } }]])(
    '%s is refused by name until it does something',
    async (path, change) => {
      const { key } = await makeSession(api)
      const answer = await api.call('POST', '/v1/messages', { key, json: { ...text('254712345678'), ...change } })
      expect(answer.body).toMatchObject({ status: 400, code: 'not_yet_supported', errors: [{ path }] })
      expect((await api.call('GET', '/v1/messages', { key })).body.data).toEqual([])
    },
  )

  test('without a worker a live question is answered 409 with Retry-After', async () => {
    const { key } = await makeSession(api, { pairingPhoneNumber: '+254700000001' })
    const check = await api.call('POST', '/v1/contacts/check', { key, json: { phoneNumbers: ['+254712345678'] } })
    expect(check.body).toMatchObject({ status: 409, code: 'session_not_connected' })
    expect(check.headers['retry-after']).toBeDefined()
    expect((await api.call('POST', '/v1/pairing-code', { key })).body.code).toBe('session_not_connected')
    const { key: other } = await makeSession(api)
    expect((await api.call('POST', '/v1/pairing-code', { key: other })).body).toMatchObject({ errors: [{ path: 'phoneNumber' }] })
  })
})
