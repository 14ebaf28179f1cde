// BullMQ's behaviour that the product builds on, against a real Redis.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pino } from 'pino'
import { closeWorker, createPulledWorker, createQueue } from '../../src/platform/queue.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
beforeAll(async () => {
  redis = await startTestRedis()
})
afterAll(() => redis.close())

test('a pulled worker takes jobs in order and gives one back to the head of its lane', async () => {
  const connection = connectRedis(redis.target, 'worker', pino({ level: 'silent' }))
  const queue = createQueue<{ n: number }>('lane', connection, 't1')
  const worker = createPulledWorker<{ n: number }>('lane', connection, 't1')
  for (const n of [1, 2, 3]) await queue.add('send', { n }, { jobId: `m${n}`, priority: 2 })
  const first = await worker.getNextJob('a', { block: false })
  expect(first?.data.n).toBe(1)
  await first?.moveToWait('a')
  const seen: number[] = []
  for (let job = await worker.getNextJob('b', { block: false }); job; job = await worker.getNextJob('b', { block: false })) {
    seen.push(job.data.n)
    await job.moveToCompleted(null, 'b', false)
  }
  expect(seen).toEqual([1, 2, 3])
  await closeWorker(worker, 1000)
  await queue.close()
  await closeRedis(connection)
})
