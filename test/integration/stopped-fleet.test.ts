// What a restore asks before it replaces anything: whether a process of the fleet lives, on whatever machine.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requireStoppedFleet } from '../../scripts/support/operator.ts'
import { freePort } from '../../scripts/support/ports.ts'
import { loadConfig } from '../../src/platform/config.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
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

test.each(['api', 'webhook-worker', 'scheduler', 'session-worker'])('a fleet is not stopped while one %s lives', async (name) => {
  const config = loadConfig(env)
  await requireStoppedFleet(config)
  const living = await startWorkerProcess(name, env)
  try {
    await expect(requireStoppedFleet(config)).rejects.toThrow(/is connected to Redis from .*Stop the fleet first/)
    await requireStoppedFleet({ ...config, redisPrefix: 'another-fleet' })
  } finally {
    await living.end()
  }
  await requireStoppedFleet(config)
})

test('a Redis that is down serves no fleet', async () => {
  await redis.stop()
  await expect(requireStoppedFleet(loadConfig(env))).resolves.toBeUndefined()
})
