// A worker's heartbeat on a real Redis that stops, comes back empty, and forgets.
import type { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { quarantineKey, workersKey } from '../../src/sessions/session-keys.ts'
import { WorkerHeartbeat, type LivingWorker } from '../../src/sessions/worker-heartbeat.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'

const log = pino({ level: 'silent' })
const prefix = 'hb'
const ttlMs = 900
let server: TestRedis
const opened: { redis: Redis; heartbeat: WorkerHeartbeat }[] = []
beforeEach(async () => {
  server = await startTestRedis()
})
afterEach(async () => {
  server.resume()
  for (const { redis, heartbeat } of opened.splice(0)) {
    await heartbeat.end()
    await closeRedis(redis)
  }
  await server.close()
})

async function open(hostId = 'here', restore: (incarnation: string) => Promise<void> = async () => undefined) {
  const redis = connectRedis(server.target, 'producer', log)
  await waitFor('Redis', () => redis.status === 'ready')
  const seen = { rounds: [] as LivingWorker[][], fenced: [] as { incarnation: string; at: number }[], restored: [] as string[] }
  const heartbeat = new WorkerHeartbeat(
    { redis, prefix, ttlMs, log, hostId, bootId: 'b', deathSocket: '/nowhere', capacity: 10, version: '0' },
    {
      heldCount: () => 3,
      takeoverCount: () => 0,
      round: (workers) => void seen.rounds.push(workers),
      fenced: (incarnation) => void seen.fenced.push({ incarnation, at: performance.now() }),
      restore: async (incarnation) => {
        seen.restored.push(incarnation)
        await restore(incarnation)
      },
    },
  )
  opened.push({ redis, heartbeat })
  await heartbeat.start()
  return { redis, heartbeat, seen }
}

test('each sees the other, and what it says of itself', async () => {
  const first = await open('one')
  const second = await open('two')
  const round = await waitFor('a round with both', () => first.seen.rounds.find((workers) => workers.length === 2))
  const other = round.find(({ incarnation }) => incarnation === second.heartbeat.incarnation)
  expect(other).toMatchObject({ hostId: 'two', held: 3, capacity: 10, draining: false })
  expect(other?.ttlLeftMs).toBeLessThanOrEqual(ttlMs)
  await second.heartbeat.drain()
  await waitFor('the draining one seen', () => first.seen.rounds.at(-1)?.some(({ draining }) => draining))
})

test('with Redis away trust ends before the TTL is over, without asking anyone, and every lease of that incarnation is void', async () => {
  const { heartbeat, seen } = await open()
  const trust = heartbeat.trustOfPresent()
  const { incarnation } = heartbeat
  await waitFor('a second renewal', () => seen.rounds.length > 1)
  const lastRenewalAt = performance.now()
  server.pause()
  await waitFor('fenced', () => seen.fenced.length > 0)
  expect(trust.isTrusted()).toBe(false)
  // The renewal that counted last was asked for before the pause.
  expect((seen.fenced[0]?.at ?? 0) - lastRenewalAt).toBeLessThan(ttlMs)
  server.resume()
  await waitFor('trusted again', () => heartbeat.isTrusted())
  expect(heartbeat.incarnation).not.toBe(incarnation)
  expect(trust.isTrusted()).toBe(false)
  expect(seen.fenced.map((each) => each.incarnation)).toContain(incarnation)
})

test('a Redis that comes back empty within the TTL: leases are put back before trust is prolonged, and nobody else may take them', async () => {
  const { heartbeat, seen, redis } = await open()
  const trust = heartbeat.trustOfPresent()
  const roundCount = seen.rounds.length
  await server.kill()
  await server.start()
  await waitFor('a renewal', () => seen.rounds.length > roundCount)
  expect(seen.restored).toHaveLength(1)
  expect(seen.fenced).toEqual([])
  expect(trust.isTrusted()).toBe(true)
  expect(await redis.exists(quarantineKey(prefix))).toBe(1)
})

test('trust is not prolonged while the leases cannot be put back', async () => {
  const { seen, redis, heartbeat } = await open('here', () => Promise.reject(new Error('not now')))
  const trust = heartbeat.trustOfPresent()
  await redis.flushall()
  await waitFor('fenced', () => seen.fenced.length > 0)
  expect(trust.isTrusted()).toBe(false)
  expect(seen.restored.length).toBeGreaterThan(1)
})

test('a clean end leaves nothing', async () => {
  const { heartbeat, redis } = await open()
  await heartbeat.end()
  expect(heartbeat.isTrusted()).toBe(false)
  expect(await redis.zcard(workersKey(prefix))).toBe(0)
  expect(await redis.keys(`${prefix}:worker:*`)).toEqual([])
})
