// Beats with a real Redis: each time is run by one process, never beside itself, and goes on when processes or Redis' data are gone.
import { expect, test } from 'vitest'
import { runBeats } from '../../src/platform/beat.ts'
import type { RunningTicks, Tick } from '../../src/platform/run-tick.ts'
import { ticksForEachTest, type TickRig } from '../support/ticks-for-each-test.ts'
import { waitFor } from '../support/wait.ts'
import { silentLog } from '../support/webhooks.ts'

let rig: TickRig
ticksForEachTest((opened) => (rig = opened))

const start = (run: Tick['run'], everyMs = 100): RunningTicks => {
  const beat = { name: 'counting', everyMs, deadlineMs: 20_000, run }
  const running = runBeats({ redis: rig.connection, prefix: 'bt', log: silentLog }, [beat])
  rig.running.push(running)
  return running
}

test('three processes run each time once', async () => {
  const times: number[] = []
  for (let n = 0; n < 3; n += 1) start(async () => times.push(performance.now()), 200)
  await waitFor('ten runs', () => times.length >= 10)
  const took = (times.at(-1) ?? 0) - (times[0] ?? 0)
  // The key stands for nine tenths of the period: more runs than that allows would be somebody's second.
  expect(times.length - 1).toBeLessThanOrEqual(Math.ceil(took / 180) + 1)
})

test('a run that takes longer than its period keeps the others off until it ends', async () => {
  const end = Promise.withResolvers<void>()
  let runs = 0
  const run = () => {
    runs += 1
    return end.promise
  }
  for (let n = 0; n < 3; n += 1) start(run)
  await waitFor('a run', () => runs > 0)
  // Only a claim sets a key, and who runs makes none.
  const claims = async () => Number(/cmdstat_set:calls=(\d+)/.exec(await rig.connection.info('commandstats'))?.[1])
  const before = await claims()
  await waitFor('the others have tried ten times', async () => runs > 1 || (await claims()) >= before + 10)
  expect(runs).toBe(1)
  end.resolve()
  await waitFor('another run', () => runs > 1)
})

test('another goes on when one stops: the key of a short run stands for its period only', async () => {
  const counts = [0, 0]
  const first = start(async () => (counts[0] = (counts[0] ?? 0) + 1))
  await waitFor('a run', () => (counts[0] ?? 0) >= 1)
  start(async () => (counts[1] = (counts[1] ?? 0) + 1))
  await first.close(2_000)
  await waitFor('the other one goes on', () => (counts[1] ?? 0) >= 3)
  expect(await rig.connection.pttl('bt:beat:counting')).toBeLessThanOrEqual(100)
})

test('a process killed in a long run holds its beat up for seconds only', async () => {
  await rig.connection.set('bt:beat:counting', 'a dead one', 'PX', 1_000)
  let count = 0
  start(async () => (count += 1))
  await waitFor('a run', () => count >= 1)
  expect(count).toBeGreaterThanOrEqual(1)
})

test('a failing beat comes again', async () => {
  let count = 0
  start(async () => {
    count += 1
    throw new Error('the store is away')
  })
  await waitFor('three runs', () => count >= 3)
  expect(count).toBeGreaterThanOrEqual(3)
})

test('beats go on after Redis came back empty', async () => {
  let count = 0
  start(async () => (count += 1))
  await waitFor('a run', () => count >= 1)
  await rig.redis.kill()
  await rig.redis.start()
  const before = count
  await waitFor('runs after the return', () => count >= before + 3, 20_000)
  expect(count).toBeGreaterThan(before)
})

test('a time of a beat costs one command', async () => {
  let count = 0
  start(async () => (count += 1), 200)
  const commands = async () => Number(/total_commands_processed:(\d+)/.exec(await rig.connection.info('stats'))?.[1])
  await waitFor('a run', () => count >= 1)
  const before = { commands: await commands(), count }
  await waitFor('ten runs', () => count >= before.count + 10)
  const after = { commands: await commands(), count }
  expect(after.commands - before.commands).toBeLessThanOrEqual(after.count - before.count + 3)
})
