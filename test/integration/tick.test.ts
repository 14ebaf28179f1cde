// Ticks with a real Redis: one process runs each, none runs beside itself, and they outlive processes and Redis' data.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import type { RunningTicks, Tick } from '../../src/platform/run-tick.ts'
import { runTicks } from '../../src/platform/tick.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'
import { silentLog } from '../support/webhooks.ts'

let redis: TestRedis
let connection: ReturnType<typeof connectRedis>
const open: RunningTicks[] = []
beforeEach(async () => {
  redis = await startTestRedis()
  connection = connectRedis(redis.target, 'worker', silentLog)
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((ticks) => ticks.close(2_000)))
  await closeRedis(connection)
  await redis.close()
})

const start = async (...ticks: Tick[]) => {
  const running = await runTicks({ redis: connection, prefix: 'tk', log: silentLog }, ticks)
  open.push(running)
  return running
}
const tick = (run: Tick['run'], everyMs = 100): Tick => ({ name: 'counting', everyMs, deadlineMs: 3_000, run })

test('three schedulers run each time once, and never two at once', async () => {
  const slots = new Map<number, number>()
  let running = 0
  let most = 0
  const run = async () => {
    running += 1
    most = Math.max(most, running)
    const slot = Math.floor(Date.now() / 500)
    slots.set(slot, (slots.get(slot) ?? 0) + 1)
    await new Promise((resolve) => setTimeout(resolve, 250)) // longer than a period
    running -= 1
  }
  for (let n = 0; n < 3; n += 1) await start(tick(run))
  await waitFor('some slots have passed', () => slots.size >= 5)
  expect(most).toBe(1)
  expect(Math.max(...slots.values())).toBeLessThanOrEqual(2)
})

test('another scheduler goes on when one stops', async () => {
  const counts = [0, 0]
  const first = await start(tick(async () => (counts[0] = (counts[0] ?? 0) + 1)))
  await start(tick(async () => (counts[1] = (counts[1] ?? 0) + 1)))
  await waitFor('a tick', () => (counts[0] ?? 0) + (counts[1] ?? 0) >= 2)
  await first.close(2_000)
  const before = counts[1] ?? 0
  await waitFor('the other one goes on', () => (counts[1] ?? 0) >= before + 3)
  expect(await connection.exists('tk:tick:counting')).toBeLessThanOrEqual(1)
})

test('a failing tick comes again', async () => {
  let count = 0
  await start(
    tick(async () => {
      count += 1
      throw new Error('the store is away')
    }),
  )
  await waitFor('three runs', () => count >= 3)
  expect(count).toBeGreaterThanOrEqual(3)
})

test('a run is told when its time is over', async () => {
  const aborted = new Promise<boolean>((resolve) => {
    void start({
      name: 'slow',
      everyMs: 60_000,
      deadlineMs: 200,
      run: async (signal) => {
        await new Promise((told) => signal.addEventListener('abort', told, { once: true }))
        resolve(signal.aborted)
      },
    })
  })
  expect(await aborted).toBe(true)
})

test('a lock left by a killed scheduler holds its tick up for seconds only', async () => {
  await connection.set('tk:tick:counting', 'a dead one', 'PX', 1_000)
  let count = 0
  await start(tick(async () => (count += 1)))
  await waitFor('a run', () => count >= 1)
  expect(await connection.pttl('tk:tick:counting')).toBeLessThanOrEqual(5_000)
})

test('a run keeps its lock for longer than the lock lives by itself', async () => {
  let runs = 0
  let ended = false
  for (let n = 0; n < 2; n += 1) {
    await start({
      name: 'long',
      everyMs: 200,
      deadlineMs: 20_000,
      run: async () => {
        runs += 1
        await new Promise((resolve) => setTimeout(resolve, 6_500))
        ended = true
      },
    })
  }
  await waitFor('the first run has ended', () => ended || runs > 1)
  expect([ended, runs]).toEqual([true, 1])
})

test('ticks go on after Redis came back empty', async () => {
  let count = 0
  await start(tick(async () => (count += 1)))
  await waitFor('a run', () => count >= 1)
  await redis.kill()
  await redis.start()
  const before = count
  await waitFor('runs after the return', () => count >= before + 3, 20_000)
  expect(count).toBeGreaterThan(before)
})

test('ticks go on after FLUSHALL, which no connection notices', async () => {
  let count = 0
  await start(tick(async () => (count += 1)))
  await waitFor('a run', () => count >= 1)
  await connection.flushall()
  const before = count
  await waitFor('runs after it', () => count >= before + 3, 30_000)
  expect(count).toBeGreaterThan(before)
})

test('a tick that no scheduler has any more is forgotten', async () => {
  const first = await start(tick(async () => undefined))
  await first.close(2_000)
  await start({ ...tick(async () => undefined), name: 'another' })
  expect(await connection.zrange('tk:bull:ticks:repeat', '0', '-1')).toEqual(['another'])
})
