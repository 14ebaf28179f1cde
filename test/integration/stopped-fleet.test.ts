// What a restore asks before it replaces anything: whether a process of the fleet lives, on whatever machine.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requireStoppedFleet } from '../../scripts/support/operator.ts'
import { freePort } from '../../scripts/support/ports.ts'
import { loadConfig, type Config } from '../../src/platform/config.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'
import { startWorkerProcess } from '../support/worker-process.ts'

let redis: TestRedis
let directory: string
let env: Record<string, string>
beforeAll(async () => {
  redis = await startTestRedis()
  directory = await mkdtemp(join(tmpdir(), 'uj-stopped-'))
  const port = await freePort(30_000 + Math.floor(Math.random() * 10_000))
  env = { REDIS_URL: `unix://${redis.socketPath}`, UJUMBE_DATA_DIR: directory, PORT: String(port) }
})
afterAll(async () => {
  await redis.close()
  await rm(directory, { recursive: true, force: true })
})

/** What the refusal says; null where there is none. */
const refusalOf = (config: Config) =>
  requireStoppedFleet(config).then(
    () => null,
    (error: Error) => error.message,
  )

test.each(['api', 'webhook-worker', 'scheduler', 'session-worker'])('a fleet is not stopped while one %s lives', async (name) => {
  const config = loadConfig(env)
  expect(await refusalOf(config)).toBeNull()
  const living = await startWorkerProcess(name, env)
  try {
    // It connects in the background.
    const refusal = await waitFor('it is refused', () => refusalOf(config))
    expect(refusal).toMatch(/is connected to Redis from .*Stop the fleet first/)
    expect(await refusalOf({ ...config, redisPrefix: 'another-fleet' })).toBeNull()
  } finally {
    await living.end()
  }
  await waitFor('Redis has seen it go', async () => (await refusalOf(config)) === null)
})

test('a Redis that is down serves no fleet', async () => {
  await redis.stop()
  await expect(requireStoppedFleet(loadConfig(env))).resolves.toBeUndefined()
})
