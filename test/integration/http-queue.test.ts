// Over HTTP: what leaves next, in the order in which it is expected to leave, and how much more there is.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'

let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.close())

interface Item {
  body: string
  to?: string
  priority?: string
  sendAt?: string
}

/** The ids, as they were given. */
async function accept(key: string, items: Item[]): Promise<string[]> {
  const messages = items.map(({ body, to = '254712345678', ...rest }) => ({ to, type: 'text', text: { body }, ...rest }))
  const answer = await api.call('POST', '/v1/messages/batch', { key, json: { messages } })
  return answer.body.results.map((result: { message: { id: string } }) => result.message.id)
}

async function queueOf(key: string, query = '') {
  const { status, body } = await api.call('GET', `/v1/queue${query}`, { key })
  expect(status).toBe(200)
  const bodiesOf = (list: { text: { body: string } }[]): string[] => list.map(({ text }) => text.body)
  return { ...body, nextBodies: bodiesOf(body.next), scheduledBodies: bodiesOf(body.scheduled) }
}

const numbered = (size: number): Item[] =>
  Array.from({ length: size }, (_, i) => ({ body: `#${i + 1}`, to: `2547${10_000_000 + i}` }))
const unpaced = { messagesPerMinute: null, perRecipientSeconds: null, newContactsPerDay: null }
/** As a worker holds it. */
async function held(id: string): Promise<number> {
  await api.store.sessions.raiseEpoch(id, 1)
  return 1
}

test.each([
  ['paced', {}],
  ['unpaced', { settings: unpaced }],
])('the head of a long queue is what leaves next, with how many there are in all: %s', async (_, settings) => {
  const { id, key } = await makeSession(api, settings)
  const ids = await accept(key, numbered(250))
  const queue = await queueOf(key, '?limit=100')
  expect(queue.nextBodies).toEqual(numbered(100).map(({ body }) => body))
  expect(queue.next.map((message: { position: number }) => message.position)).toEqual(
    Array.from({ length: 100 }, (_each, i) => i),
  )
  expect(queue).toMatchObject({ queueDepth: 250, scheduled: [], scheduledCount: 0 })

  await api.store.messages.take({ sessionId: id, id: ids[0] ?? '', epoch: await held(id), now: Date.now() }, () => [])
  await api.call('DELETE', `/v1/messages/${ids[1]}`, { key })
  const later = await queueOf(key, '?limit=3')
  expect(later.nextBodies).toEqual(['#1', '#3', '#4'])
  expect(later.next[0].status).toBe('sending')
  expect(later.queueDepth).toBe(249)
})

test('lanes come one after the other, and what is held back stands behind what is not', async () => {
  const { id, key } = await makeSession(api)
  const [first] = await accept(key, [
    { body: 'held back', to: '254711000001' },
    { body: 'first', to: '254711000002' },
    { body: 'bulk', to: '254711000003', priority: 'bulk' },
    { body: 'high', to: '254711000004', priority: 'high' },
    { body: 'behind the one held back', to: '254711000001' },
  ])
  const heldUntil = Date.now() + 3_600_000
  await api.store.messages.hold({ sessionId: id, id: first ?? '', epoch: await held(id), heldBy: 'new_contacts', heldUntil })
  const queue = await queueOf(key)
  expect(queue.nextBodies).toEqual(['high', 'first', 'bulk', 'held back', 'behind the one held back'])
  expect(queue.next[3]).toMatchObject({ heldBy: 'new_contacts', heldUntil: new Date(heldUntil).toISOString() })
})

test('what is scheduled stands beside the queue, the soonest first', async () => {
  const { key } = await makeSession(api)
  const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString()
  await accept(key, [
    { body: 'in 3 h', sendAt: inHours(3) },
    { body: 'in 1 h', sendAt: inHours(1) },
    { body: 'in 2 h', sendAt: inHours(2) },
    { body: 'now' },
  ])
  const queue = await queueOf(key, '?limit=2')
  expect(queue).toMatchObject({ nextBodies: ['now'], queueDepth: 1, scheduledBodies: ['in 1 h', 'in 2 h'], scheduledCount: 3 })
})

test('it is empty where nothing waits, and no other session sees it', async () => {
  const [ours, theirs] = [await makeSession(api), await makeSession(api)]
  await accept(theirs.key, [{ body: 'secret' }])
  expect(await queueOf(ours.key)).toMatchObject({ next: [], queueDepth: 0, scheduled: [], scheduledCount: 0 })
  const other = await api.call('GET', `/v1/sessions/${theirs.id}/queue`, { key: ours.key })
  expect(other.body.code).toBe('not_found')
  const wrong = await api.call('GET', '/v1/queue?limit=0', { key: ours.key })
  expect(wrong.body.code).toBe('invalid_request')
})

test('it is answered while Redis is away, in the order of the store', async () => {
  const { key } = await makeSession(api)
  await accept(key, [{ body: 'first' }, { body: 'bulk', priority: 'bulk' }, { body: 'high', priority: 'high' }])
  await api.redis.stop()
  try {
    expect(await queueOf(key)).toMatchObject({ nextBodies: ['high', 'first', 'bulk'], queueDepth: 3 })
  } finally {
    await api.redis.start()
  }
})
