// The event log over HTTP: pages, gaps, and streams that miss nothing, keep nothing and end when they must.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { announceEvents } from '../../src/webhooks/publish-event.ts'
import { createDeliveryQueue, type DeliveryQueue } from '../../src/webhooks/delivery-queue.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import type { EventDraft } from '../../src/store/event-store.ts'
import { makeKey, makeSession, startTestApi, type TestApi } from '../support/api.ts'
import { openEvents, type EventReader } from '../support/event-source.ts'
import { waitFor } from '../support/wait.ts'
import { silentLog } from '../support/webhooks.ts'

const streams = { maxStreams: 6, maxEach: 3, keptForAdmins: 3, heartbeatMs: 400, drainMs: 700 }
let api: TestApi
let session: { id: string; key: string }
let connection: ReturnType<typeof connectRedis>
let deliveryQueue: DeliveryQueue
const readers: EventReader[] = []

beforeAll(async () => {
  api = await startTestApi({ streams })
  connection = connectRedis(api.redis.target, 'worker', silentLog)
  deliveryQueue = createDeliveryQueue(connection, api.prefix)
})
afterAll(async () => {
  await deliveryQueue.close()
  await closeRedis(connection)
  await api.close()
})
beforeEach(async () => {
  for (const reader of readers.splice(0)) reader.close()
  await waitFor('earlier streams are gone', async () => (await openStreams()) === 0)
  session = await makeSession(api)
})

const draft = (n: number, text = ''): EventDraft => ({ type: 'message.sent', data: { message: { n, text } } })
/** As another process does it: written, then announced. */
const publish = async (sessionId: string, drafts: EventDraft[], announce = true) => {
  const published = await api.store.events.append(sessionId, drafts)
  if (announce) announceEvents({ deliveryQueue, log: silentLog }, published)
  return published
}
const many = (count: number, text = '') => Array.from({ length: count }, (_, n) => draft(n, text))
const follow = async (path: string, key: string, headers: Record<string, string> = {}) => {
  const reader = await openEvents(`${api.url}${path}`, { authorization: `Bearer ${key}`, ...headers })
  readers.push(reader)
  return reader
}
const openStreams = async () => {
  const { text } = await api.call('GET', '/metrics', { key: api.adminKey })
  return Number(/^ujumbe_event_streams\{[^}]*\} (\d+)$/m.exec(text)?.[1])
}
const sequences = (reader: EventReader) => reader.events.map(({ data }) => data.sequence)

describe('the log', () => {
  test('is read from the beginning and on, under a session by sequence, filtered by type', async () => {
    await publish(session.id, [...many(5), { type: 'session.health', data: {} }])
    const first = await api.call('GET', '/v1/events?limit=4', { key: session.key })
    expect(first.body.data.map((event: { type: string; sequence: number }) => [event.type, event.sequence])).toEqual([
      ['session.status', 1],
      ['message.sent', 2],
      ['message.sent', 3],
      ['message.sent', 4],
    ])
    expect([first.body.nextCursor, first.body.hasMore]).toEqual(['4', true])
    const second = await api.call('GET', `/v1/sessions/${session.id}/events?after=4`, { key: api.adminKey })
    expect(second.body).toMatchObject({ nextCursor: '7', hasMore: false, data: [{ sequence: 5 }, {}, {}] })
    const health = await api.call('GET', '/v1/events?types=session.health,webhook.*&after=0', { key: session.key })
    expect(health.body).toMatchObject({ nextCursor: '7', data: [{ type: 'session.health', sequence: 7 }] })
    const none = await api.call('GET', '/v1/events?after=7', { key: session.key })
    expect(none.body).toEqual({ data: [], nextCursor: '7', hasMore: false })
  })

  test('of the whole fleet is an admin’s, and goes on from a cursor', async () => {
    const other = await makeSession(api)
    const start = (await api.call('GET', '/v1/events?limit=200&types=webhook.disabled', { key: api.adminKey })).body.nextCursor
    for (let n = 0; n < 3; n += 1) await publish(n % 2 ? other.id : session.id, many(2))
    const seen: string[] = []
    let cursor: string = start
    for (;;) {
      const page = await api.call('GET', `/v1/events?limit=4&after=${cursor}`, { key: api.adminKey })
      seen.push(...page.body.data.map((event: { sessionId: string }) => event.sessionId))
      cursor = page.body.nextCursor
      if (!page.body.hasMore) break
    }
    expect(seen).toEqual([session.id, session.id, other.id, other.id, session.id, session.id])
  })

  test('tells who has fallen behind where to go on', async () => {
    await publish(session.id, many(3))
    const keep = { messagesMs: 1e12, deliveriesMs: 1e12, eventsMs: 0, healthSamplesMs: 1e12 }
    while ((await api.store.sweep(keep, Date.now() + 1_000, 100)).removed > 0);
    await publish(session.id, many(1))
    for (const path of ['/v1/events?after=1', '/v1/events/stream?after=1']) {
      const gone = await api.call('GET', path, { key: session.key })
      expect(gone.body).toMatchObject({ status: 410, code: 'cursor_expired', oldestCursor: '4' })
    }
    const goOn = await api.call('GET', '/v1/events?after=4', { key: session.key })
    expect(goOn.body.data).toMatchObject([{ sequence: 5 }])
    expect((await api.call('GET', '/v1/events', { key: session.key })).body.data).toMatchObject([{ sequence: 5 }])
    const fleet = await api.call('GET', '/v1/events?after=1', { key: api.adminKey })
    expect(fleet.body.code).toBe('cursor_expired')
    expect((await api.call('GET', `/v1/events?after=${fleet.body.oldestCursor}`, { key: api.adminKey })).status).toBe(200)
  })

  test.each([
    'after=%3B',
    'after=-1',
    'after=400',
    `after=${'9'.repeat(30)}`,
    'after=',
    'types=',
    'types=nonsense',
    'limit=0',
    'cursor=1',
  ])('refuses ?%s', async (query) => {
    const paths = query.startsWith('limit') ? ['/v1/events'] : ['/v1/events', '/v1/events/stream']
    for (const path of paths) {
      const answer = await api.call('GET', `${path}?${query}`, { key: session.key })
      expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request'])
    }
  })

  test('shows what tells of endpoints only to keys that may see endpoints', async () => {
    await publish(session.id, [
      { type: 'webhook.disabled', data: { endpoint: { url: 'https://x.example/?token=secret' } } },
      draft(1),
    ])
    const reader = await makeKey(api, session, ['read'])
    const seen = await api.call('GET', '/v1/events', { key: reader })
    expect(seen.body).toMatchObject({ data: [{ sequence: 1 }, { sequence: 3 }], nextCursor: '3' })
    expect((await api.call('GET', '/v1/events', { key: session.key })).body.data).toHaveLength(3)
    const stream = await follow('/v1/events/stream?after=0', reader)
    await stream.until(2)
    expect(sequences(stream)).toEqual([1, 3])
  })
})

describe('a stream', () => {
  test('begins with now, gives what happens as it happens, and shows that it lives', async () => {
    await publish(session.id, many(2))
    const stream = await follow('/v1/events/stream', session.key)
    expect(stream.status).toBe(200)
    await waitFor('it has begun', () => stream.lines.includes(': connected'))
    const [published] = await publish(session.id, many(3))
    await stream.until(3)
    expect(stream.events.map(({ id, data }) => [id, data.sequence])).toEqual([
      ['4', 4],
      ['5', 5],
      ['6', 6],
    ])
    const listed = await api.call('GET', '/v1/events?after=3&limit=1', { key: session.key })
    expect(stream.events[0]?.data).toEqual(listed.body.data[0])
    expect(published?.event.sequence).toBe(4)
    await waitFor('a heartbeat', () => stream.lines.includes(': heartbeat'))
    expect(stream.lastId).toBe('6')
  })

  test('hears of other sessions only as an admin’s, and only of its types', async () => {
    const other = await makeSession(api)
    const [own, fleet, typed] = [
      await follow('/v1/events/stream', session.key),
      await follow('/v1/events/stream', api.adminKey),
      await follow('/v1/events/stream?types=session.*', api.adminKey),
    ]
    await publish(other.id, many(2))
    await publish(session.id, [draft(1), { type: 'session.health', data: {} }])
    await own.until(2)
    await fleet.until(4)
    await typed.until(1)
    expect(own.events.map(({ data }) => data.sessionId)).toEqual([session.id, session.id])
    expect(new Set(fleet.events.map(({ data }) => data.sessionId))).toEqual(new Set([session.id, other.id]))
    expect(typed.events.map(({ data }) => data.type)).toEqual(['session.health'])
  })

  test('misses nothing over reconnects, whatever happens in between', async () => {
    const seen: number[] = []
    const writer = (async () => {
      for (let n = 0; n < 40; n += 1) await publish(session.id, many(5), n % 3 !== 0)
    })()
    let last = '1'
    while (seen.length < 200) {
      const reader = await follow('/v1/events/stream', session.key, { 'last-event-id': last })
      await reader.until(Math.min(17, 200 - seen.length))
      reader.close()
      await waitFor('it is closed', () => reader.isClosed)
      seen.push(...sequences(reader))
      last = reader.events.at(-1)?.id ?? last
    }
    await writer
    expect(seen).toEqual(Array.from({ length: 200 }, (_, n) => n + 2))
  })

  test('goes on from `after` until it has come back once', async () => {
    await publish(session.id, many(4))
    const stream = await follow('/v1/events/stream?after=2', session.key)
    await stream.until(3)
    const again = await follow('/v1/events/stream?after=2', session.key, { 'last-event-id': '4' })
    await again.until(1)
    expect([sequences(stream), sequences(again)]).toEqual([[3, 4, 5], [5]])
  })

  test('finds what was written while Redis was away, and what was never announced', async () => {
    const stream = await follow('/v1/events/stream', session.key)
    await waitFor('it has begun', () => stream.lastId !== undefined)
    await publish(session.id, many(1), false)
    await stream.until(1)
    await api.redis.stop()
    await publish(session.id, many(2))
    await stream.until(3)
    await api.redis.start()
    await waitFor('Redis is back', async () => (await api.call('GET', '/readyz')).status === 200)
    await publish(session.id, many(2))
    await stream.until(5)
    expect(sequences(stream)).toEqual([2, 3, 4, 5, 6])
  })

  test('whose reader does not read is dropped, and nothing is kept for it', async () => {
    const slow = await follow('/v1/events/stream', session.key)
    const quick = await follow('/v1/events/stream', session.key)
    slow.stopReading()
    const text = 'x'.repeat(60_000)
    for (let n = 0; n < 12; n += 1) await publish(session.id, many(25, text))
    await quick.until(300)
    await waitFor('the slow one was dropped', async () => (await openStreams()) === 1)
    expect(api.logged()).toContain('stream.reader_dropped')
    slow.readOn()
    await waitFor('its connection is cut', () => slow.isClosed)
    expect(slow.events.length).toBeLessThan(300)
    // It comes back with what it has read last, and has everything.
    const back = await follow('/v1/events/stream', session.key, { 'last-event-id': slow.events.at(-1)?.id ?? '1' })
    await back.until(300 - slow.events.length)
    expect([...sequences(slow), ...sequences(back)]).toEqual(Array.from({ length: 300 }, (_, n) => n + 2))
  })

  test('ends when its key is deleted, its session is, or the process stops', async () => {
    const key = await makeKey(api, session, ['read'])
    const stream = await follow('/v1/events/stream', key)
    const { body } = await api.call('GET', `/v1/sessions/${session.id}/keys`, { key: api.adminKey })
    const keyId = body.data.find((each: { scopes: string[] }) => each.scopes.length === 1).id
    await api.call('DELETE', `/v1/sessions/${session.id}/keys/${keyId}`, { key: api.adminKey })
    await waitFor('the stream of the deleted key has ended', () => stream.isClosed)
    const ofSession = await follow(`/v1/sessions/${session.id}/events/stream`, api.adminKey)
    await api.call('DELETE', `/v1/sessions/${session.id}`, { key: api.adminKey })
    await waitFor('the stream of the deleted session has ended', () => ofSession.isClosed)
    const own = await startTestApi({ streams })
    const last = await openEvents(`${own.url}/v1/events/stream`, { authorization: `Bearer ${own.adminKey}` })
    await own.close()
    expect(last.isClosed).toBe(true)
  })

  test('is opened with the cookie of a sign-in, from our own pages', async () => {
    const signedIn = await api.call('POST', '/sign-in', {
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: api.url, 'sec-fetch-site': 'same-origin' },
      raw: `key=${api.adminKey}`,
    })
    const cookie = String(signedIn.headers['set-cookie']).split(';', 1)[0] ?? ''
    const stream = await openEvents(`${api.url}/v1/events/stream`, { cookie })
    readers.push(stream)
    expect(stream.status).toBe(200)
    await publish(session.id, many(1))
    await stream.until(1)
  })

  test('is one of a limited number, and gives its place back', async () => {
    const open = [1, 2, 3].map(() => follow('/v1/events/stream', session.key))
    await Promise.all(open)
    const refused = await api.call('GET', '/v1/events/stream', { key: session.key })
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, '5'])
    const others = [1, 2, 3].map(() => follow('/v1/events/stream', api.adminKey))
    await Promise.all(others)
    expect(
      (await api.call('GET', `/v1/sessions/${(await makeSession(api)).id}/events/stream`, { key: api.adminKey })).status,
    ).toBe(429)
    ;(await open[0])?.close()
    await waitFor(
      'a place is free',
      async () => (await api.call('GET', '/v1/events/stream', { key: session.key })).status === 200,
    )
    const head = await api.call('HEAD', '/v1/events/stream', { key: session.key })
    expect([head.status, head.text]).toEqual([200, ''])
  })

  test('costs publishers next to nothing while nobody listens', async () => {
    await waitFor('nobody listens', async () => (await connection.pubsub('NUMSUB', `${api.prefix}:events`))[1] === 0)
    const count = async () => Number(/cmdstat_publish:calls=(\d+)/.exec(await connection.info('commandstats'))?.[1] ?? 0)
    await publish(session.id, many(1))
    await waitFor('the first notice was not heard', async () => (await count()) > 0)
    const before = await count()
    const startedAt = performance.now()
    for (let n = 0; n < 100; n += 1) await publish(session.id, many(2))
    const seconds = (performance.now() - startedAt) / 1_000
    expect((await count()) - before).toBeLessThanOrEqual(Math.ceil(seconds) + 1)
  })
})
