// What the health score knows when Redis does not: after it was emptied, and past the bounds of its lists.
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readHealth } from '../../src/health/read-health.ts'
import { SessionScorer } from '../../src/health/score-sessions.ts'
import { recordConnection, recordReconnect } from '../../src/sessions/connection-history.ts'
import {
  connectionsKey,
  historySinceKey,
  reconnectsKey,
  trafficKey,
  troubledKey,
  unheardKey,
  workersKey,
} from '../../src/sessions/session-keys.ts'
import { newSession } from '../support/records.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { openTestSqlite, type TestStore } from '../support/store.ts'

let testRedis: TestRedis
let testStore: TestStore
let redis: Redis
const prefix = 'forgotten'
const minute = 60_000
beforeAll(async () => {
  ;[testRedis, testStore] = await Promise.all([startTestRedis(), openTestSqlite()])
  redis = new Redis({ path: testRedis.socketPath })
})
afterAll(async () => {
  redis.disconnect()
  await Promise.all([testRedis.close(), testStore.close()])
})

const addSession = async () => {
  const now = Date.now()
  const input = newSession({
    status: 'connected',
    createdAt: now - 60 * minute,
    lastConnectedAt: now - 60 * minute,
    lastEventAt: now,
  })
  await testStore.store.sessions.create(input, () => [])
  return input.session.id
}
const sessionOf = async (id: string) => {
  const session = await testStore.store.sessions.get(id)
  if (!session) throw new Error('gone')
  return session
}
/** By a scheduler that remembers nothing. Whatever changed is kept in a sample. */
const tick = async (id: string) => {
  await redis.zadd(workersKey(prefix), Date.now(), 'w1')
  await redis.hset(trafficKey(prefix, 'w1'), id, Date.now())
  const { health } = await sessionOf(id)
  if (health) await testStore.store.sessions.setHealth(id, { ...health, level: 'another' }, () => [])
  const deps = { store: testStore.store, redis, prefix, announce: () => undefined, log: pino({ level: 'silent' }) }
  await new SessionScorer(deps).tick(new AbortController().signal)
}
const flap = async (id: string, times: number) => {
  for (let n = 0; n < times; n += 1) {
    const at = Date.now() - 8 * minute
    await recordConnection({ redis, prefix }, id, { at, to: 'down' })
    await recordReconnect({ redis, prefix }, id, { at, reason: 'connection_closed' })
    await recordConnection({ redis, prefix }, id, { at: at + 1, to: 'up' })
  }
}
const read = async (id: string, window: '1h' | '24h' = '24h') =>
  readHealth({ store: testStore.store, redis, prefix }, await sessionOf(id), window)

test('a session that was ill is not well because Redis was emptied, and its day still counts what was lost', async () => {
  const id = await addSession()
  await tick(id)
  // It ran all the time that the notes are about.
  await redis.set(historySinceKey(prefix), Date.now() - 50 * minute)
  await recordConnection({ redis, prefix }, id, { at: Date.now() - 60 * minute, to: 'up' })
  await recordConnection({ redis, prefix }, id, { at: Date.now() - 9 * minute, to: 'down' })
  await recordReconnect({ redis, prefix }, id, { at: Date.now() - 5 * minute, reason: 'connection_closed' })
  await recordConnection({ redis, prefix }, id, { at: Date.now() - 5 * minute, to: 'up' })
  await testStore.store.sessions.setHealth(
    id,
    { score: 99, level: 'healthy', reason: null, at: Date.now() - 10 * minute },
    () => [],
  )
  await flap(id, 5)
  await tick(id)
  const before = await read(id)
  expect(before.score).toBeLessThan(75)
  expect(before.signals.reconnectCount).toBe(6)

  await redis.flushall()
  // Before the next tick, as it is read meanwhile.
  expect((await read(id)).signals).toMatchObject({ reconnectCount: 6 })
  expect(Math.abs((await read(id)).score - before.score)).toBeLessThanOrEqual(3)
  // As it is when the tick comes a while later.
  await redis.set(historySinceKey(prefix), Date.now())
  await tick(id)
  const { health } = await sessionOf(id)
  expect(Math.abs((health?.score ?? 100) - before.score)).toBeLessThanOrEqual(3)
  const after = await read(id)
  expect(Math.abs(after.score - before.score)).toBeLessThanOrEqual(3)
  expect(after.signals.reconnectCount).toBe(6)
  expect(after.signals.uptimePercent).toBeLessThan(100)
})

test('a session that was ill is not well because the fleet was upgraded: what an older version noted still counts', async () => {
  const id = await addSession()
  await flap(id, 6)
  // An older version did not say when, and its samples count nothing.
  for (const key of [connectionsKey(prefix, id), reconnectsKey(prefix, id)]) {
    const entries = (await redis.lrange(key, 0, -1)).map((entry) => JSON.stringify({ ...JSON.parse(entry), notedAt: undefined }))
    await redis
      .multi()
      .del(key)
      .rpush(key, ...entries)
      .exec()
  }
  await redis.del(historySinceKey(prefix))
  const at = Date.now() - minute
  const sample = { sessionId: id, at, score: 66, level: 'recovering', reasons: [], signals: {}, actions: [] } as const
  await testStore.store.health.append([{ ...sample, reasons: [], actions: [] }])
  await testStore.store.sessions.setHealth(id, { score: 66, level: 'recovering', reason: null, at }, () => [])
  expect((await read(id)).signals.reconnectCount).toBe(6)
  await tick(id)
  expect((await sessionOf(id)).health?.score).toBeLessThan(75)
  const after = await read(id)
  expect(after.signals.reconnectCount).toBe(6)
  expect(after.score).toBeLessThan(75)
})

test('what workers noted after Redis was emptied counts, however late the first tick comes', async () => {
  const id = await addSession()
  await tick(id)
  await redis.flushall()
  await flap(id, 6)
  // As it is five minutes later.
  const notedAt = Date.now() - 5 * minute
  for (const key of [connectionsKey(prefix, id), reconnectsKey(prefix, id)]) {
    const entries = (await redis.lrange(key, 0, -1)).map((entry) => JSON.stringify({ ...JSON.parse(entry), notedAt }))
    await redis
      .multi()
      .del(key)
      .rpush(key, ...entries)
      .exec()
  }
  await redis.zadd(troubledKey(prefix), notedAt, id)
  await tick(id)
  expect((await sessionOf(id)).health?.score).toBeLessThan(75)
  expect((await read(id)).signals.reconnectCount).toBe(6)
})

test('a session that no worker reported is not well because Redis was emptied', async () => {
  const id = await addSession()
  await tick(id)
  await redis.hdel(trafficKey(prefix, 'w1'), id)
  await redis.hset(unheardKey(prefix), id, Date.now() - 5 * minute)
  const deps = { store: testStore.store, redis, prefix, announce: () => undefined, log: pino({ level: 'silent' }) }
  const look = async () => {
    await new SessionScorer(deps).tick(new AbortController().signal)
    return (await sessionOf(id)).health
  }
  const first = await look()
  expect(first).toMatchObject({ level: 'critical', reason: { code: 'not_connected' } })
  await redis.flushall()
  // However late the tick comes: another session was noted minutes ago.
  await redis.zadd(troubledKey(prefix), Date.now() - 5 * minute, 'ses_other')
  expect(await look()).toEqual(first)
  expect(Number(await redis.hget(unheardKey(prefix), id))).toBeLessThan(Date.now() - 4 * minute)
})

test('more reconnects than Redis keeps are counted all the same', async () => {
  const id = await addSession()
  await redis.set(historySinceKey(prefix), Date.now() - 50 * minute)
  await tick(id)
  for (let round = 0; round < 3; round += 1) {
    await flap(id, 120)
    await tick(id)
  }
  await flap(id, 20)
  const { signals } = await read(id)
  expect(signals.reconnectCount).toBe(380)
  expect(signals.uptimePercent).toBeGreaterThan(0)
})
