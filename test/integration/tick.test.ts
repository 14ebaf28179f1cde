// Ticks with a real Redis: one process runs each, none runs beside itself, and they outlive processes and Redis' data.
import { expect, test } from 'vitest'
import type { Tick } from '../../src/platform/run-tick.ts'
import { runTicks } from '../../src/platform/tick.ts'
import { ticksForEachTest, type TickRig } from '../support/ticks-for-each-test.ts'
import { waitFor } from '../support/wait.ts'
import { silentLog } from '../support/webhooks.ts'

let rig: TickRig
ticksForEachTest((opened) => (rig = opened))

const start = async (...ticks: Tick[]) => {
  const running = await runTicks({ redis: rig.connection, prefix: 'tk', log: silentLog }, ticks)
  rig.running.push(running)
  return running
}
const tick = (run: Tick['run'], everyMs = 100): Tick => ({ name: 'counting', everyMs, deadlineMs: 3_000, run })

test('three schedulers run each time once', async () => {
  const times: number[] = []
  for (let n = 0; n < 3; n += 1) await start(tick(async () => times.push(performance.now())))
  await waitFor('twenty runs', () => times.length >= 20)
  const took = (times.at(-1) ?? 0) - (times[0] ?? 0)
  expect(times.length - 1).toBeLessThanOrEqual(Math.ceil(took / 100) + 1)
})

test('a run that takes longer than its period keeps the others off until it ends', async () => {
  const end = Promise.withResolvers<void>()
  let runs = 0
  const run = () => {
    runs += 1
    return end.promise
  }
  for (let n = 0; n < 3; n += 1) await start(tick(run))
  await waitFor('a run', () => runs > 0)
  // Raised when somebody begins the job of the time before.
  const nextAt = async () => Number(await rig.connection.zscore('tk:bull:ticks:repeat', 'counting'))
  const before = await nextAt()
  await waitFor('five times have come', async () => runs > 1 || (await nextAt()) >= before + 500)
  expect(runs).toBe(1)
  end.resolve()
  await waitFor('another run', () => runs > 1)
})

test('another scheduler goes on when one stops', async () => {
  const counts = [0, 0]
  const first = await start(tick(async () => (counts[0] = (counts[0] ?? 0) + 1)))
  await start(tick(async () => (counts[1] = (counts[1] ?? 0) + 1)))
  await waitFor('a tick', () => (counts[0] ?? 0) + (counts[1] ?? 0) >= 2)
  await first.close(2_000)
  const before = counts[1] ?? 0
  await waitFor('the other one goes on', () => (counts[1] ?? 0) >= before + 3)
  expect(await rig.connection.exists('tk:tick:counting')).toBeLessThanOrEqual(1)
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
  await rig.connection.set('tk:tick:counting', 'a dead one', 'PX', 1_000)
  let count = 0
  await start(tick(async () => (count += 1)))
  await waitFor('a run', () => count >= 1)
  expect(await rig.connection.pttl('tk:tick:counting')).toBeLessThanOrEqual(5_000)
})

test('a run renews its lock until it ends', async () => {
  const end = Promise.withResolvers<void>()
  let runs = 0
  const run = () => {
    runs += 1
    return end.promise
  }
  for (let n = 0; n < 2; n += 1) await start({ name: 'long', everyMs: 200, deadlineMs: 20_000, run })
  await waitFor('a run', () => runs > 0)
  let leftMs = Infinity
  let renewedCount = 0
  await waitFor('the lock is renewed, and again', async () => {
    const before = leftMs
    leftMs = await rig.connection.pttl('tk:tick:long')
    if (leftMs > before) renewedCount += 1
    return runs > 1 || renewedCount >= 2
  })
  expect(runs).toBe(1)
  end.resolve()
})

test('ticks go on after Redis came back empty', async () => {
  let count = 0
  await start(tick(async () => (count += 1)))
  await waitFor('a run', () => count >= 1)
  await rig.redis.kill()
  await rig.redis.start()
  const before = count
  await waitFor('runs after the return', () => count >= before + 3, 20_000)
  expect(count).toBeGreaterThan(before)
})

test('ticks go on after FLUSHALL, which no connection notices', async () => {
  let count = 0
  await start(tick(async () => (count += 1)))
  await waitFor('a run', () => count >= 1)
  await rig.connection.flushall()
  const before = count
  await waitFor('runs after it', () => count >= before + 3, 30_000)
  expect(count).toBeGreaterThan(before)
})

test('a tick that no scheduler has any more is forgotten', async () => {
  const first = await start(tick(async () => undefined))
  await first.close(2_000)
  await start({ ...tick(async () => undefined), name: 'another' })
  expect(await rig.connection.zrange('tk:bull:ticks:repeat', '0', '-1')).toEqual(['another'])
})
