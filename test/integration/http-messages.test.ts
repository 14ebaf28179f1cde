// Over HTTP: pacing settings and who may set them, times, lanes, positions and forecasts, cancel, batches.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SessionRecord } from '../../src/store/session-store.ts'
import { makeKey, makeSession, startTestApi, type TestApi } from '../support/api.ts'

let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.close())

const text = (to: string, more: Record<string, unknown> = {}) => ({ to, type: 'text', text: { body: 'Habari' }, ...more })
const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1_000).toISOString()
const post = (key: string, json: unknown, headers: Record<string, string> = {}) =>
  api.call('POST', '/v1/messages', { key, json, headers })
const secondsAhead = (time: string) => (Date.parse(time) - Date.now()) / 1_000

/** As a worker would leave it that has just connected. */
async function connected(id: string, changes: Partial<SessionRecord> = {}): Promise<void> {
  const session = await api.store.sessions.get(id)
  const epoch = (session?.epoch ?? 0) + 1
  await api.store.sessions.raiseEpoch(id, epoch)
  await api.store.sessions.update(id, epoch, { status: 'connected', ...changes }, () => [])
}

describe('pacing settings', () => {
  const faster = [
    { messagesPerMinute: 21 },
    { messagesPerMinute: null },
    { burst: 2 },
    { perRecipientSeconds: 5.9 },
    { perRecipientSeconds: null },
    { newContactsPerDay: 21 },
    { newContactsPerDay: null },
  ]
  test.each(faster)('faster than the default takes an admin: %o', async (settings) => {
    const { id } = await makeSession(api)
    const key = await makeKey(api, { id, key: '' }, ['manage'])
    const own = await api.call('PATCH', `/v1/sessions/${id}`, { key, json: { settings } })
    expect(own.body).toMatchObject({ status: 403, code: 'admin_only' })
    const edited = await api.call('PATCH', `/v1/sessions/${id}`, { key: api.adminKey, json: { settings } })
    expect(edited.body.settings).toMatchObject(settings)
    expect((await api.call('PATCH', `/v1/sessions/${id}`, { key, json: { settings } })).status).toBe(200)
  })

  test('slower is for everybody who manages the session, and what makes no sense for nobody', async () => {
    const { id, key } = await makeSession(api)
    const settings = { messagesPerMinute: 0.5, burst: 1, perRecipientSeconds: 60, newContactsPerDay: 0 }
    const edited = await api.call('PATCH', `/v1/sessions/${id}`, { key, json: { settings } })
    expect(edited.body.settings).toMatchObject(settings)
    for (const wrong of [{ messagesPerMinute: 0 }, { burst: 1.5 }, { perRecipientSeconds: 0 }, { newContactsPerDay: 'slow' }]) {
      const refused = await api.call('PATCH', `/v1/sessions/${id}`, { key: api.adminKey, json: { settings: wrong } })
      expect(refused.body.code, JSON.stringify(wrong)).toBe('invalid_request')
    }
  })
})

describe('a session that changes between two messages', () => {
  test('what was changed through this process counts at once', async () => {
    const { id, key } = await makeSession(api)
    expect((await post(key, text('254712345678'))).status).toBe(202)
    await api.call('PATCH', `/v1/sessions/${id}`, { key, json: { settings: { maxQueueDepth: 1 } } })
    expect((await post(key, text('254712345678'))).body.code).toBe('queue_full')
    await api.call('PATCH', `/v1/sessions/${id}`, { key, json: { settings: { maxQueueDepth: 2 } } })
    expect((await post(key, text('254712345678'))).status).toBe(202)
    await api.call('DELETE', `/v1/sessions/${id}`, { key: api.adminKey })
    const gone = await api.call('POST', `/v1/sessions/${id}/messages`, { key: api.adminKey, json: text('254712345678') })
    expect(gone.body.code).toBe('not_found')
  })

  test('what another process changed counts soon, and a deletion at once', async () => {
    const { id, key } = await makeSession(api)
    expect((await post(key, text('254712345678'))).body.estimatedSendAt).toBeNull()
    await connected(id)
    const sent = async () => (await post(key, text('254712345678'))).body.estimatedSendAt
    await expect.poll(sent, { timeout: 5_000 }).not.toBeNull()
    await api.store.sessions.request(id, 'delete', Date.now())
    const gone = await api.call('POST', `/v1/sessions/${id}/messages`, { key: api.adminKey, json: text('254712345678') })
    expect(gone.body.code).toBe('not_found')
  })
})

describe('times', () => {
  test('a message for later is scheduled, has no position yet, and is expected at its time', async () => {
    const { key } = await makeSession(api)
    const sendAt = inSeconds(3_600)
    const made = await post(key, text('254712345678', { sendAt }))
    expect(made.body).toMatchObject({ status: 'scheduled', sendAt, position: null, estimatedSendAt: sendAt })
    const read = await api.call('GET', `/v1/messages/${made.body.id}`, { key })
    expect(read.body).toMatchObject({ status: 'scheduled', sendAt, position: null, estimatedSendAt: sendAt })
  })

  test('a time that has passed means now; more than a year ahead, or worthless before it is sent, is refused', async () => {
    const { key } = await makeSession(api)
    expect((await post(key, text('254712345678', { sendAt: inSeconds(-60) }))).body.status).toBe('queued')
    const refused: [string, object][] = [
      ['sendAt', { sendAt: inSeconds(367 * 86_400) }],
      ['expiresAt', { sendAt: inSeconds(60), expiresAt: inSeconds(60) }],
      ['expiresAt', { expiresAt: 'tomorrow' }],
    ]
    for (const [path, change] of refused) {
      const answer = await post(key, text('254712345678', { ...change }))
      expect(answer.body, path).toMatchObject({ status: 400, code: 'invalid_request', errors: [{ path }] })
    }
  })

  test('a repeated request is answered the same after its times have passed', async () => {
    const { key } = await makeSession(api)
    const json = text('254712345678', { sendAt: inSeconds(-30), expiresAt: inSeconds(-20) })
    const headers = { 'idempotency-key': 'late' }
    const [first, again] = [await post(key, json, headers), await post(key, json, headers)]
    expect([first.status, again.status]).toEqual([202, 202])
    expect(again.body.id).toBe(first.body.id)
    expect(again.headers['idempotent-replayed']).toBe('true')
  })
})

describe('position and forecast', () => {
  test('an unpaced queue: lane after lane, in the order accepted', async () => {
    const { id, key } = await makeSession(api, {
      settings: { messagesPerMinute: null, perRecipientSeconds: null, newContactsPerDay: null },
    })
    const positions: number[] = []
    const ids: string[] = []
    for (const priority of ['bulk', 'normal', 'high', 'bulk', 'normal', 'high']) {
      const made = await post(key, text('254712345678', { priority }))
      expect(made.body.estimatedSendAt).toBeNull()
      positions.push(made.body.position)
      ids.push(made.body.id)
    }
    expect(positions).toEqual([0, 0, 0, 3, 2, 1])
    const read = await Promise.all(ids.map((each) => api.call('GET', `/v1/messages/${each}`, { key })))
    expect(read.map(({ body }) => body.position)).toEqual([4, 2, 0, 5, 3, 1])
    const list = await api.call('GET', '/v1/messages', { key })
    const listed = new Map(list.body.data.map((each: { id: string; position: number }) => [each.id, each.position]))
    expect(ids.map((each) => listed.get(each))).toEqual([4, 2, 0, 5, 3, 1])
    await connected(id)
    expect(secondsAhead((await api.call('GET', `/v1/messages/${ids[0]}`, { key })).body.estimatedSendAt)).toBeLessThan(5)
  })

  test('a paced session says when each is expected to leave, and nothing while it is not connected', async () => {
    const unpaired = await makeSession(api)
    const unknown = await post(unpaired.key, text('254712345000'))
    expect(unknown.body).toMatchObject({ position: 0, estimatedSendAt: null })
    const { id, key } = await makeSession(api)
    await connected(id)
    expect((await post(key, text('254712345000'))).body.position).toBe(0)
    const expected: number[] = []
    for (let n = 1; n < 10; n += 1) {
      const made = await post(key, text(`25471234500${n}`))
      expect(made.body.position).toBe(n)
      expected.push(secondsAhead(made.body.estimatedSendAt))
    }
    // 20 a minute, a little less: 3.05 s apart.
    for (const [n, seconds] of expected.entries()) expect(Math.abs(seconds - (n + 1) * 3.046)).toBeLessThan(1.5)
    const sameRecipient = await post(key, text('254712345009'))
    expect(secondsAhead(sameRecipient.body.estimatedSendAt) - (expected.at(-1) ?? 0)).toBeGreaterThan(4.5)
    const high = await post(key, text('254712345999', { priority: 'high' }))
    expect(high.body.position).toBeLessThan(2)
  })

  test('strangers beyond the day’s allowance are expected on another day', async () => {
    const { id, key } = await makeSession(api, { settings: { newContactsPerDay: 2 } })
    await connected(id)
    const made = []
    for (let n = 0; n < 4; n += 1) made.push((await post(key, text(`25471234500${n}`))).body)
    const midnight = Math.ceil(Date.now() / 86_400_000) * 86_400_000
    expect(made.map(({ estimatedSendAt }) => Date.parse(estimatedSendAt) >= midnight)).toEqual([false, false, true, true])
    expect(made[3]).toMatchObject({ heldBy: 'new_contacts', heldUntil: new Date(midnight).toISOString() })
    const high = await post(key, text('254712345999', { priority: 'high' }))
    expect(Date.parse(high.body.estimatedSendAt)).toBeLessThan(midnight)
  })

  test('a message that the worker held back shows by what and until when, and so do those behind it', async () => {
    const { id, key } = await makeSession(api)
    await connected(id)
    const [first, second, other] = [
      (await post(key, text('254712345001'))).body,
      (await post(key, text('254712345001'))).body,
      (await post(key, text('254712345002'))).body,
    ]
    const heldUntil = Date.now() + 600_000
    const epoch = (await api.store.sessions.get(id))?.epoch ?? 0
    await api.store.messages.hold({ sessionId: id, id: first.id, epoch, heldBy: 'new_contacts', heldUntil })
    await connected(id, { statusReason: 'as seen by others' })
    await new Promise((resolve) => setTimeout(resolve, 0))
    const read = async (messageId: string) => (await api.call('GET', `/v1/messages/${messageId}`, { key })).body
    await expect.poll(async () => (await read(first.id)).heldBy).toBe('new_contacts')
    expect(await read(first.id)).toMatchObject({ heldUntil: new Date(heldUntil).toISOString() })
    expect(await read(second.id)).toMatchObject({ heldBy: 'new_contacts', heldUntil: new Date(heldUntil + 6_000).toISOString() })
    expect((await read(other.id)).heldBy).not.toBe('new_contacts')
    expect((await read(other.id)).position).toBe(0)
  })
})

describe('cancel', () => {
  test('a queued or scheduled message is canceled once and for all, told, and gone from the queue', async () => {
    const { id, key } = await makeSession(api)
    for (const more of [{}, { sendAt: inSeconds(600) }]) {
      const made = await post(key, text('254712345678', more))
      const canceled = await api.call('DELETE', `/v1/messages/${made.body.id}`, { key })
      expect(canceled.body).toMatchObject({ id: made.body.id, status: 'canceled', position: null })
      expect((await api.call('DELETE', `/v1/messages/${made.body.id}`, { key })).body.status).toBe('canceled')
    }
    const events = await api.store.events.list({ sessionId: id, afterSequence: 0, limit: 50 })
    expect(events.filter(({ type }) => type === 'message.canceled')).toHaveLength(2)
    expect((await api.store.messages.queueState(id)).depth).toBe(0)
  })

  test('too late is 409, another session’s is 404', async () => {
    const { id, key } = await makeSession(api)
    const made = await post(key, text('254712345678'))
    await connected(id)
    await api.store.messages.take({ sessionId: id, id: made.body.id, epoch: 1, now: Date.now() }, () => [])
    expect((await api.call('DELETE', `/v1/messages/${made.body.id}`, { key })).body.code).toBe('message_not_cancelable')
    const other = await makeSession(api)
    expect((await api.call('DELETE', `/v1/messages/${made.body.id}`, { key: other.key })).status).toBe(404)
    const reader = await makeKey(api, { id, key }, ['read'])
    expect((await api.call('DELETE', `/v1/messages/${made.body.id}`, { key: reader })).body.code).toBe('missing_scope')
  })
})

describe('batch', () => {
  const batch = (key: string, messages: unknown, headers: Record<string, string> = {}) =>
    api.call('POST', '/v1/messages/batch', { key, json: { messages }, headers })

  test('each has a result of its own, in the order given; one that is wrong spoils no other', async () => {
    const { key } = await makeSession(api)
    const answer = await batch(key, [
      text('254712345001'),
      { ...text('254712345002'), priority: 'urgent' },
      text('nobody'),
      'not even a message',
      { ...text('254712345003'), type: 'image', text: undefined, image: {} },
      text('254712345004', { replyTo: 'msg_01k5x8m2t7qv3n9c4d6fhj8rwz' }),
      text('254712345005', { sendAt: inSeconds(60) }),
    ])
    expect(answer.status).toBe(207)
    const results = answer.body.results as { status: number; message?: Record<string, unknown>; error?: { code: string } }[]
    expect(results.map(({ status, error }) => [status, error?.code])).toEqual([
      [202, undefined],
      [400, 'invalid_request'],
      [400, 'invalid_request'],
      [400, 'invalid_request'],
      [400, 'not_yet_supported'],
      [400, 'invalid_request'],
      [202, undefined],
    ])
    expect(results[0]?.message).toMatchObject({ status: 'queued', position: 0 })
    expect(results[6]?.message).toMatchObject({ status: 'scheduled' })
    expect((await api.call('GET', '/v1/messages', { key })).body.data).toHaveLength(2)
  })

  test('a thousand keep their order, and repeated with the same header they are the same', async () => {
    const { id, key } = await makeSession(api)
    const messages = Array.from({ length: 1_000 }, (_, n) => text(`2547123${String(n).padStart(5, '0')}`))
    const headers = { 'idempotency-key': 'campaign' }
    const first = await batch(key, messages, headers)
    const ids = (answer: { body: { results: { message: { id: string } }[] } }) =>
      answer.body.results.map(({ message }) => message.id)
    const queued = await api.store.messages.listUnfinished(id, { limit: 2_000 })
    expect(queued.map((row) => row.id)).toEqual(ids(first))
    expect(first.body.results.map(({ message }: { message: { position: number } }) => message.position)).toEqual(
      messages.map((_, n) => n),
    )
    const again = await batch(key, messages, headers)
    expect(ids(again)).toEqual(ids(first))
    expect(again.body.results.every(({ replayed }: { replayed?: boolean }) => replayed)).toBe(true)
    const [single] = (await batch(key, [{ ...messages[0], idempotencyKey: 'campaign#7' }])).body.results
    expect(single).toMatchObject({ status: 422, error: { code: 'idempotency_key_reused' } })
  })

  test('no more fit than the queue takes, and no more than a thousand at once', async () => {
    const { key } = await makeSession(api, { settings: { maxQueueDepth: 2 } })
    const answer = await batch(key, [text('254712345001'), text('254712345002'), text('254712345003')])
    expect(answer.body.results.map(({ status }: { status: number }) => status)).toEqual([202, 202, 429])
    const alone = await post(key, text('254712345003'))
    const { code, detail } = alone.body
    expect(alone.headers['retry-after']).toBe('5')
    expect(answer.body.results[2].error).toEqual({ code, detail, retryAfterSeconds: 5 })
    expect((await batch(key, [])).body.code).toBe('invalid_request')
    const many = Array.from({ length: 1_001 }, () => text('254712345001'))
    expect((await batch(key, many)).body.code).toBe('invalid_request')
  })
})
