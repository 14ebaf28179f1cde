// The send queues on a real Redis: lanes, one job at a time whoever asks, and taking back what a dead holder had in hand.
import { afterAll, beforeAll, beforeEach, afterEach, expect, test } from 'vitest'
import { pino } from 'pino'
import type { Redis } from 'ioredis'
import { SendQueues, type SendJob, type SendWorker } from '../../src/messages/send-queue.ts'
import { closeWorker } from '../../src/platform/queue.ts'
import { bullPrefix, closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'

let server: TestRedis
let redis: Redis
let queues: SendQueues
let workers: SendWorker[] = []
let prefix = ''
let runCount = 0
const session = 'ses_01'

beforeAll(async () => {
  server = await startTestRedis()
})
afterAll(() => server.close())
beforeEach(() => {
  prefix = `q${(runCount += 1)}`
  redis = connectRedis(server.target, 'worker', pino({ level: 'silent' }))
  queues = new SendQueues(redis, prefix)
})
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => closeWorker(worker, 1_000)))
  queues.close()
  await closeRedis(redis)
})

function worker(): SendWorker {
  const made = queues.createWorker(session)
  workers.push(made)
  return made
}
const waiting = async () => (await queues.listWaiting(session)).map(({ id }) => id)
const next = (from: SendWorker, token: string) => from.getNextJob(token, { block: false })

async function drainAll(from: SendWorker): Promise<string[]> {
  const ids: string[] = []
  for (let job: SendJob | undefined = await next(from, 't'); job; job = await next(from, 't')) {
    ids.push(job.id as string)
    await job.moveToCompleted(null, 't', false)
  }
  return ids
}

test('high leaves before normal before bulk, each in the order of adding', async () => {
  const lanes = ['bulk', 'normal', 'high'] as const
  for (const n of [1, 2]) for (const lane of lanes) await queues.add(session, `${lane}-${n}`, lane)
  const expected = ['high-1', 'high-2', 'normal-1', 'normal-2', 'bulk-1', 'bulk-2']
  expect(await waiting()).toEqual(expected)
  expect(await drainAll(worker())).toEqual(expected)
})

test('a message is in its queue once, and its job says nothing of it', async () => {
  await queues.add(session, 'm-1', 'normal')
  await queues.add(session, 'm-1', 'normal')
  expect(await waiting()).toEqual(['m-1'])
  const job = await next(worker(), 't')
  expect(job?.data).toEqual({ lane: 'normal' })
  await job?.moveToCompleted(null, 't', false)
  expect(await redis.keys(`${bullPrefix(prefix)}:*m-1*`)).toEqual([])
})

test('the next job comes with the end of the one before, and nobody else gets one between them', async () => {
  for (const id of ['m-1', 'm-2']) await queues.add(session, id, 'normal')
  const [mine, other] = [worker(), worker()]
  const first = await next(mine, 'a')
  const second = await mine.completeAndTake(first, 'a')
  expect([first?.id, second?.id]).toEqual(['m-1', 'm-2'])
  expect(await next(other, 'b')).toBeUndefined()
  await expect(other.completeAndTake(second!, 'b')).rejects.toThrow('Lock')
  expect(await mine.completeAndTake(second!, 'a')).toBeUndefined()
  expect(await redis.keys(`${bullPrefix(prefix)}:*m-*`)).toEqual([])
})

test('nobody gets a second job while one is active, and a job given back comes first', async () => {
  await queues.addAll(
    session,
    [1, 2, 3].map((n) => ({ id: `m-${n}`, priority: 'normal' as const })),
  )
  const [mine, other] = [worker(), worker()]
  const job = await next(mine, 'a')
  expect(job?.id).toBe('m-1')
  expect(await next(other, 'b')).toBeUndefined()
  await job?.moveToWait('a')
  expect(await drainAll(other)).toEqual(['m-1', 'm-2', 'm-3'])
})

test('the job of a dead holder is taken back to the head of its lane, and the dead one cannot give it back again', async () => {
  await queues.addAll(
    session,
    [1, 2].map((n) => ({ id: `m-${n}`, priority: 'normal' as const })),
  )
  const stale = await next(worker(), 'dead')
  expect(await queues.reclaimActive(session)).toBe(1)
  const mine = worker()
  const job = await next(mine, 'alive')
  expect(job?.id).toBe('m-1')
  await expect(stale?.moveToWait('dead')).rejects.toThrow(/lock/i)
  await expect(stale?.moveToCompleted(null, 'dead', false)).rejects.toThrow(/lock/i)
  await job?.moveToCompleted(null, 'alive', false)
  expect(await drainAll(mine)).toEqual(['m-2'])
})

test('it is taken back also when its lock has expired', async () => {
  await queues.addAll(
    session,
    [1, 2].map((n) => ({ id: `m-${n}`, priority: 'normal' as const })),
  )
  await next(worker(), 'dead')
  expect(await redis.del(`${bullPrefix(prefix)}:send-${session}:m-1:lock`)).toBe(1)
  expect(await queues.reclaimActive(session)).toBe(1)
  expect(await drainAll(worker())).toEqual(['m-1', 'm-2'])
})

test('what stands in the active list without a job is cleared, so that it blocks nobody', async () => {
  await queues.add(session, 'm-1', 'normal')
  await redis.lpush(`${bullPrefix(prefix)}:send-${session}:active`, 'ghost')
  expect(await next(worker(), 't')).toBeUndefined()
  await queues.reclaimActive(session)
  expect(await drainAll(worker())).toEqual(['m-1'])
})

test('after Redis came back empty a queue runs one job at a time again and keeps its event stream short', async () => {
  await queues.add(session, 'm-1', 'normal')
  let returnCount = 0
  queues.onReturn(() => (returnCount += 1))
  await server.kill()
  await server.start()
  await waitFor('Redis is back', () => returnCount > 0)
  await queues.addAll(
    session,
    [1, 2].map((n) => ({ id: `m-${n}`, priority: 'normal' as const })),
  )
  expect((await next(worker(), 'a'))?.id).toBe('m-1')
  expect(await next(worker(), 'b')).toBeUndefined()
  expect(await redis.hget(`${bullPrefix(prefix)}:send-${session}:meta`, 'opts.maxLenEvents')).toBe('100')
})

test('the place ahead of a lane comes before the lane and after every higher one', async () => {
  for (const lane of ['bulk', 'normal', 'high'] as const) await queues.add(session, `${lane}-1`, lane)
  await queues.addAll(session, [{ id: 'normal-a', priority: 'normal' }], 'ahead')
  await queues.addAll(session, [{ id: 'normal-b', priority: 'normal' }], 'ahead')
  await queues.add(session, 'high-a', 'high', 'ahead')
  const own = { isAhead: false }
  const ahead = { isAhead: true }
  const expected = [
    { id: 'high-a', lane: 'high', ...ahead },
    { id: 'high-1', lane: 'high', ...own },
    { id: 'normal-a', lane: 'normal', ...ahead },
    { id: 'normal-b', lane: 'normal', ...ahead },
    { id: 'normal-1', lane: 'normal', ...own },
    { id: 'bulk-1', lane: 'bulk', ...own },
  ]
  expect(await queues.listWaiting(session)).toEqual(expected)
  expect(await queues.findWaiting(session, ['bulk-1', 'no-such', 'normal-b'])).toEqual([expected[3], expected[5]])
  expect(await drainAll(worker())).toEqual(expected.map(({ id }) => id))
})

test('more sessions than queues may be open at once all get their messages', async () => {
  const few = new SendQueues(redis, prefix, 2)
  const ids = [1, 2, 3, 4, 5].map((n) => `ses_${n}`)
  await Promise.all(ids.flatMap((id) => [few.add(id, 'm-1', 'normal'), few.add(id, 'm-2', 'normal')]))
  for (const id of ids) expect((await few.listWaiting(id)).map((job) => job.id)).toEqual(['m-1', 'm-2'])
  few.close()
})
