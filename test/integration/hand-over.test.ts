// Giving all sessions away at the end of a worker, on a real Redis: what one of them meets does not keep the others.
import type { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { handOver } from '../../src/fleet/hand-over.ts'
import { monotonicMs } from '../../src/platform/clock.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { claimLeases, releaseLeases, renewHeartbeat } from '../../src/sessions/lease-scripts.ts'
import { Lease } from '../../src/sessions/lease.ts'
import { leaseKey } from '../../src/sessions/session-keys.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'

const log = pino({ level: 'silent' })
const incarnation = 'w.0'
let server: TestRedis
let redis: Redis
let deps: { redis: Redis; prefix: string; ttlMs: number; log: typeof log }
beforeAll(async () => {
  server = await startTestRedis()
  redis = connectRedis(server.target, 'producer', log)
  deps = { redis, prefix: 'hand', ttlMs: 60_000, log }
})
beforeEach(() => waitFor('Redis', () => redis.status === 'ready'))
afterAll(async () => {
  await closeRedis(redis)
  await server.close()
})

/** Held sessions, reduced to what is handed over: their leases. `released`: those whose turn came. */
async function held(count: number) {
  await renewHeartbeat(deps, { incarnation, value: '{}', previous: undefined })
  const sessions = Array.from({ length: count }, (_, n) => ({ id: `ses_${n}`, epoch: 0 }))
  const answers = await claimLeases(deps, incarnation, sessions)
  const released: string[] = []
  const runners = sessions.map(({ id }, n) => {
    const lease = new Lease({ sessionId: id, epoch: answers[n]!.epoch, incarnation }, { isTrusted: () => true })
    const release = async () => {
      released.push(id)
      await releaseLeases(deps, incarnation, [lease])
    }
    return { sessionId: id, isConnected: true, lease, release }
  })
  const owners = () => Promise.all(sessions.map(({ id }) => redis.hget(leaseKey(deps.prefix, id), 'owner')))
  return { runners, released, owners }
}

const inTime = () => ({ deadlineAt: monotonicMs() + 2_000, receiverOf: () => null })

test('all leases are given back', async () => {
  const { runners, owners } = await held(20)
  expect(await owners()).toEqual(Array.from({ length: 20 }, () => incarnation))
  await handOver(deps, runners, inTime())
  expect(await owners()).toEqual(Array.from({ length: 20 }, () => null))
})

test.each([
  ['nobody takes them', null],
  ['another worker takes them', 'other.0'],
])('with Redis away each is released all the same: %s', async (_, receiver) => {
  const { runners, released } = await held(20)
  await server.stop()
  try {
    await handOver(deps, runners, { ...inTime(), receiverOf: () => receiver })
    expect(released.toSorted()).toEqual(runners.map(({ sessionId }) => sessionId).toSorted())
  } finally {
    await server.start()
  }
})
