// Opening sockets: few at once in a process, pairing first, and one rate for the whole fleet.
import type { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SocketOpens } from '../../src/fleet/socket-opens.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'

const log = pino({ level: 'silent' })
const never = new AbortController().signal
let server: TestRedis
let redis: Redis
beforeAll(async () => {
  server = await startTestRedis()
  redis = connectRedis(server.target, 'producer', log)
  await waitFor('Redis', () => redis.status === 'ready')
})
afterAll(async () => {
  await closeRedis(redis)
  await server.close()
})

test('several workers together stay below the rate in every second', async () => {
  const workers = [0, 1, 2].map(() => new SocketOpens({ redis, prefix: 'rate', perSecond: 40, log }))
  const opens: number[] = []
  await Promise.all(
    Array.from({ length: 75 }, async (_, i) => {
      const end = await workers[i % 3]?.acquire('normal', never)
      opens.push(performance.now())
      end?.()
    }),
  )
  opens.sort((a, b) => a - b)
  for (const at of opens) expect(opens.filter((other) => other >= at && other < at + 1_000).length).toBeLessThanOrEqual(40)
})

test('no more handshakes at once than allowed; a pairing passes those that wait', async () => {
  const opens = new SocketOpens({ redis, prefix: 'slots', perSecond: 1_000, log, handshakes: 2 })
  const first = await opens.acquire('normal', never)
  const second = await opens.acquire('normal', never)
  const order: string[] = []
  const wait = async (name: string, priority: 'normal' | 'pairing' | 'restart' | 'probe', signal = never) => {
    const end = await opens.acquire(priority, signal)
    if (end) order.push(name)
    return end
  }
  const gone = new AbortController()
  const waiting = [
    wait('normal', 'normal'),
    wait('gone', 'pairing', gone.signal),
    wait('probe', 'probe'),
    wait('restart', 'restart'),
    wait('pairing', 'pairing'),
  ]
  expect(opens.waiting).toBe(5)
  gone.abort()
  expect(await waiting[1]).toBeNull()
  first?.()
  first?.()
  for (const expected of [['pairing'], ['pairing', 'restart'], ['pairing', 'restart', 'probe']]) {
    await waitFor(String(expected), () => order.length >= expected.length)
    expect(order).toEqual(expected)
    const last = { pairing: 4, restart: 3, probe: 2 }[expected.at(-1) ?? '']
    ;(await waiting[last ?? 0])?.()
  }
  ;(await waiting[0])?.()
  second?.()
  expect(opens.waiting).toBe(0)
  const both = await Promise.all([opens.acquire('normal', never), opens.acquire('normal', never)])
  expect(both.every((end) => end !== null)).toBe(true)
})

test('without Redis nobody opens; what is aborted meanwhile gives its place back', async () => {
  const away = connectRedis({ redisUrl: undefined, redisSocketPath: '/nowhere/r.sock' }, 'producer', log)
  const opens = new SocketOpens({ redis: away, prefix: 'away', perSecond: 10, log, handshakes: 1 })
  const abort = new AbortController()
  const first = opens.acquire('normal', abort.signal)
  const second = opens.acquire('normal', abort.signal)
  abort.abort()
  expect(await Promise.all([first, second])).toEqual([null, null])
  await closeRedis(away)
})
