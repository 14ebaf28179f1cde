// A producer's connection to Redis: each command is answered or fails within its time, whatever Redis does, and the next ones work again.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { pino } from 'pino'
import type { Redis } from 'ioredis'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'

let server: TestRedis
let redis: Redis
beforeEach(async () => {
  server = await startTestRedis()
  redis = connectRedis(server.target, 'producer', pino({ level: 'silent' }))
  await waitFor('the connection', () => redis.status === 'ready')
})
afterEach(async () => {
  await closeRedis(redis)
  await server.close()
})

const outcomes = (commands: Promise<unknown>[]) =>
  Promise.all(commands.map((each) => each.then(String, (error: unknown) => (error as Error).message)))

test('a Redis that hangs fails every command in its time, those of a pipeline too, and none before', async () => {
  await redis.set('n', '1')
  server.pause()
  const startedAt = performance.now()
  const [first, second] = [redis.get('n'), redis.incr('n')]
  const pipeline = redis.pipeline().get('n').incr('n').exec()
  expect(await outcomes([first, second])).toEqual(['Command timed out', 'Command timed out'])
  expect(performance.now() - startedAt).toBeGreaterThan(1_400)
  expect((await pipeline)?.map(([error]) => error?.message)).toEqual(['Command timed out', 'Command timed out'])
  server.resume()
  // What had been written was carried out all the same; late answers go to nobody.
  await expect.poll(() => redis.get('n')).toBe('3')
  expect(await redis.incr('n')).toBe(4)
})

test('many commands are answered in their order, and those after an outage too', async () => {
  const many = () => Promise.all(Array.from({ length: 2_000 }, (_, index) => redis.echo(`${index}`)))
  const expected = Array.from({ length: 2_000 }, (_, index) => `${index}`)
  expect(await many()).toEqual(expected)
  await server.kill()
  expect(await outcomes([redis.ping()])).not.toEqual(['PONG'])
  await server.start()
  await waitFor('the connection', () => redis.status === 'ready')
  expect(await many()).toEqual(expected)
})
