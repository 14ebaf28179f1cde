// What is asked of MongoDB about the whole fleet: an index must be of use for it, by the rules of a real server.
import mongoose from 'mongoose'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { collections, type Collection } from '../../src/store/mongo/schemas.ts'
import { openTestMongo } from '../support/mongo-store.ts'
import { newEndpoint, newMessage, tells } from '../support/records.ts'
import { createHeldSession, type TestStore } from '../support/store.ts'

const mongoUrl = process.env['UJUMBE_TEST_MONGODB']

interface Question {
  collection: keyof typeof collections
  method: string
  filter: Record<string, unknown>
  sortedBy: string | undefined
}

let opened: TestStore
let asked: Question[]
beforeEach(async () => {
  if (!mongoUrl) return
  opened = await openTestMongo(mongoUrl)
  asked = []
  mongoose.set('debug', (collection: string, method: string, first: unknown, options?: { sort?: object }) => {
    const stages = method === 'aggregate' ? (first as { $match?: Record<string, unknown> }[]) : undefined
    const filter = stages ? (stages[0]?.$match ?? {}) : ((first ?? {}) as Record<string, unknown>)
    const [sortedBy] = Object.keys(options?.sort ?? {})
    asked.push({ collection: collection as keyof typeof collections, method, filter, sortedBy })
  })
})
afterEach(async () => {
  mongoose.set('debug', false)
  if (mongoUrl) await opened.close()
})

/** A partial index counts only for a filter that names its condition, and any index only with a bound on its first field, or to sort by it. */
function isOfUse([keys, options]: Collection['indexes'][number], { filter, sortedBy }: Question): boolean {
  const [first] = Object.keys(keys)
  const condition = Object.keys(options?.partialFilterExpression ?? {})
  return condition.every((field) => field in filter) && first !== undefined && (first in filter || first === sortedBy)
}

/** They have a document per session at most. */
const small = new Set(['sessions', 'counters', 'meta', 'dataKeys'])
const reads = new Set(['find', 'findOne', 'countDocuments', 'aggregate', 'distinct', 'updateMany', 'deleteMany'])

test.skipIf(!mongoUrl)('no question about the whole fleet reads the whole of a collection that grows', async () => {
  const { store } = opened
  const id = await createHeldSession(store)
  const endpoint = newEndpoint({ sessionId: id })
  await store.endpoints.create(endpoint)
  for (const sendAt of [null, 9e12]) {
    const message = newMessage(id, sendAt === null ? {} : { status: 'scheduled', sendAt })
    await store.messages.accept({ message, idempotency: null, maxQueueDepth: 9, now: 1 }, tells('message.queued'))
  }
  asked = []
  const overview = await store.health.overview(Date.now(), 10)
  expect(overview.unfinished).toEqual({ scheduled: 1, queued: 1, sending: 0 })
  expect(await store.deliveries.countByStatus()).toMatchObject({ pending: 2, succeeded: 0 })
  expect(await store.deliveries.countByStatus(endpoint.id)).toMatchObject({ pending: 2, succeeded: 0 })
  await store.deliveries.listDueEndpoints({ now: 9e12, limit: 1 })
  await store.sessions.countByStatus()
  await store.endpoints.countByState()
  await store.messages.listDue(1, 1)
  await store.messages.listExpired(1, 1)
  await store.messages.listSessionsWithStale(9e12, 1)
  await store.messages.list({ limit: 1 })
  await store.events.read({ limit: 1, after: '1' })
  await store.events.read({ limit: 1, after: '1', types: ['message.sent'] })
  await store.events.list({ limit: 1 })
  await store.events.placeBefore(1)
  await store.replays.listRunning({ limit: 1 })
  await store.sweep({ messagesMs: 0, deliveriesMs: 0, eventsMs: 0, healthSamplesMs: 0 }, 1, 1)
  const questions = asked.filter(({ collection, method }) => reads.has(method) && !small.has(collection))
  const offending = questions.filter((question) => {
    const indexes: Collection['indexes'] = [[{ _id: 1 }], ...collections[question.collection].indexes]
    return !indexes.some((index) => isOfUse(index, question))
  })
  expect(new Set(questions.map(({ collection }) => collection))).toEqual(
    new Set(['messages', 'deliveries', 'endpoints', 'events', 'replays', 'healthSamples']),
  )
  expect(offending).toEqual([])
})

test.skipIf(!mongoUrl)('many messages that are due in one session are queued in a few statements', async () => {
  const { messages } = opened.store
  const id = await createHeldSession(opened.store)
  for (let i = 0; i < 50; i++) {
    const message = newMessage(id, { status: 'scheduled', sendAt: 1_000 + i })
    await messages.accept({ message, idempotency: null, maxQueueDepth: 99, now: 1 }, tells('message.queued'))
  }
  const due = await messages.listDue(9_000, 99)
  asked = []
  const ids = due.map((place) => place.id)
  expect(await messages.promote(id, ids, 9_000, tells('message.queued'))).toHaveLength(50)
  expect(asked.length).toBeLessThan(25)
})

test.skipIf(!mongoUrl)('what waits in many sessions is asked in two questions, and where nothing waits in one', async () => {
  const { store } = opened
  const ids: string[] = []
  for (let i = 0; i < 20; i++) ids.push(await createHeldSession(store))
  asked = []
  await store.health.work(ids, 5_000)
  expect(asked).toHaveLength(1)
  for (const [i, id] of ids.entries()) {
    const message = newMessage(id, { createdAt: 1_000 + i })
    await store.messages.accept({ message, idempotency: null, maxQueueDepth: 9, now: 1 }, tells('message.queued'))
  }
  asked = []
  const works = await store.health.work(ids, 5_000)
  expect(asked.filter(({ collection }) => collection === 'counters')).toHaveLength(2)
  expect(asked.filter(({ collection }) => collection === 'messages')).toEqual([])
  expect(ids.map((id) => works.get(id)?.readySince)).toEqual(ids.map((_, i) => 1_000 + i))
})
