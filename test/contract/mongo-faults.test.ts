// MongoDB when it is the wrong kind, in the way, silent or away: bounded, said clearly, and never half written.
import { createConnection } from 'mongoose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createMetrics } from '../../src/http/metrics.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { openMongoStore } from '../../src/store/mongo/mongo-store.ts'
import { withDeadline } from '../../src/platform/clock.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'
import { startTestRedis } from '../support/redis.ts'
import { newMessage, tells } from '../support/records.ts'
import { startOwnMongo, type OwnServer } from '../support/mongo-server.ts'
import { openTestMongo } from '../support/mongo-store.ts'
import { createHeldSession, type TestStore } from '../support/store.ts'
import { waitFor } from '../support/wait.ts'
import { silentLog } from '../support/webhooks.ts'

const hasServer = process.env['UJUMBE_TEST_MONGODB'] !== undefined && process.env['MONGODB_TEST_URL'] === undefined

async function startServer(standalone = false): Promise<OwnServer> {
  const server = await startOwnMongo({ standalone })
  if (typeof server === 'string') throw new Error(server)
  return server
}

test.skipIf(!hasServer)('a standalone server is refused in one sentence that says what to do', async () => {
  const server = await startServer(true)
  try {
    await expect(openMongoStore(`${server.url}ujumbe`)).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringMatching(/^MONGODB_URL names a standalone server, .*replica set.*\.$/),
    })
  } finally {
    await server.stop()
  }
})

test('a server that is not there is unavailable, in bounded time', async () => {
  await expect(openMongoStore('mongodb://127.0.0.1:1/ujumbe')).rejects.toMatchObject({ code: 'store_unavailable' })
})

describe.skipIf(!hasServer)('a server with faults', () => {
  let server: OwnServer
  let t: TestStore & { url: string }
  let sessionId: string

  beforeAll(async () => {
    server = await startServer()
    t = await openTestMongo(server.url)
    sessionId = await createHeldSession(t.store)
  })
  afterAll(async () => {
    try {
      await withDeadline(t.close(), 20_000)
    } finally {
      await server.stop()
    }
  })

  async function admin(command: Record<string, unknown>): Promise<void> {
    const connection = await createConnection(server.url).asPromise()
    await connection.db?.admin().command(command)
    await connection.close()
  }
  const fail = (mode: unknown, data: Record<string, unknown>) => admin({ configureFailPoint: 'failCommand', mode, data })
  const accept = (message: MessageRecord) =>
    t.store.messages.accept(
      { message, idempotency: { key: message.id, bodyHash: 'b', expiresAt: 9e12 }, maxQueueDepth: 100, now: 1 },
      tells('message.queued'),
    )

  test('a database of a newer version is refused', async () => {
    const url = t.url.replace(/\/ujumbe-test-/, '/ujumbe-test-new-')
    const connection = await createConnection(url).asPromise()
    await connection.collection<{ _id: string; value: number }>('meta').insertOne({ _id: 'schema', value: 99 })
    await expect(openMongoStore(url)).rejects.toMatchObject({ code: 'configuration', message: expect.stringContaining('99') })
    await connection.dropDatabase()
    await connection.close()
  })

  test('a transaction that meets another one is tried again and written once', async () => {
    const errorLabels = ['TransientTransactionError']
    await fail({ times: 3 }, { failCommands: ['insert'], errorCode: 112, errorLabels })
    const message = newMessage(sessionId)
    expect(await accept(message)).toMatchObject({ outcome: 'accepted', message: { sequence: 1 } })
    expect(await t.store.messages.queueState(sessionId)).toMatchObject({ depth: 1 })
    expect(await t.store.events.list({ sessionId, limit: 10 })).toHaveLength(1)
  })

  test('a commit whose answer is lost is sent again', async () => {
    await fail({ times: 2 }, { failCommands: ['commitTransaction'], closeConnection: true })
    expect(await accept(newMessage(sessionId))).toMatchObject({ outcome: 'accepted', message: { sequence: 2 } })
    expect(await t.store.messages.queueState(sessionId)).toMatchObject({ depth: 2 })
  })

  test('a commit that is never answered is an unknown outcome; with the same key it is taken at most once', async () => {
    const message = newMessage(sessionId)
    await fail('alwaysOn', { failCommands: ['commitTransaction'], blockConnection: true, blockTimeMS: 9_000 })
    try {
      await expect(accept(message)).rejects.toMatchObject({ code: 'accept_outcome_unknown' })
    } finally {
      await fail('off', {})
    }
    const retried = await waitFor('the message to be taken', () => accept(message).catch(() => undefined), 30_000, 200)
    expect(['accepted', 'replayed']).toContain(retried.outcome)
    const stored = (await t.store.messages.list({ sessionId, limit: 100 })).data.filter(({ id }) => id === message.id)
    expect(stored).toHaveLength(1)
  })

  test('a server that falls silent does not keep /metrics longer than Prometheus waits', async () => {
    const redis = await startTestRedis()
    const connection = connectRedis(redis.target, 'producer', silentLog)
    await waitFor('Redis is connected', () => connection.status === 'ready')
    const metrics = createMetrics({ store: t.store, redis: connection, prefix: 'uj', log: silentLog })
    server.pause()
    try {
      const text = await withDeadline(metrics.render(), 10_000)
      for (const line of ['ujumbe_store_up 0', 'ujumbe_redis_up 1', 'ujumbe_workers 0']) expect(text).toContain(line)
    } finally {
      server.resume()
      await metrics.close()
      await closeRedis(connection)
      await redis.close()
    }
    await waitFor(
      'the server answers again',
      async () =>
        t.store.ping().then(
          () => true,
          () => false,
        ),
      30_000,
      200,
    )
  })

  test('a server that falls silent makes reads and writes fail in bounded time, and all is well when it is back', async () => {
    server.pause()
    const message = newMessage(sessionId)
    try {
      const refused = { code: 'store_unavailable' }
      await Promise.all([
        expect(t.store.sessions.get(sessionId)).rejects.toMatchObject(refused),
        expect(accept(message)).rejects.toMatchObject(refused),
        expect(t.store.ping()).rejects.toMatchObject(refused),
      ])
    } finally {
      server.resume()
    }
    const taken = await waitFor('the message to be taken', () => accept(message).catch(() => undefined), 30_000, 200)
    expect(taken.outcome).toBe('accepted')
    expect((await t.store.sessions.get(sessionId))?.id).toBe(sessionId)
  })
})
