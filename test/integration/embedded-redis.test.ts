// The embedded Redis as PM2 starts it: one server per directory, whatever is started twice.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { redisCommand } from '../../src/platform/embedded-redis.ts'
import { waitFor } from '../support/wait.ts'

const path = process.env['PATH'] ?? ''
const libraries = process.env['UJUMBE_TEST_REDIS_LIBRARIES']
const program = {
  command: process.env['UJUMBE_TEST_REDIS_SERVER'] ?? 'redis-server',
  env: libraries ? { LD_LIBRARY_PATH: libraries } : {},
}
let directory: string
let socketPath: string
let running: ChildProcess[]
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'uj-embedded-'))
  socketPath = join(directory, 'r.sock')
  running = []
})
afterEach(async () => {
  for (const server of running) server.kill('SIGKILL')
  await rm(directory, { recursive: true, force: true })
})

function start(): ChildProcess {
  const { command, args } = redisCommand(program, socketPath, directory, path)
  const server = spawn(command, args, { stdio: 'ignore', env: { ...process.env, ...program.env } })
  running.push(server)
  return server
}

/** On a connection of its own; null while nobody answers. */
async function ask<T>(question: (redis: Redis) => Promise<T>): Promise<T | null> {
  const redis = new Redis({ path: socketPath, lazyConnect: true, retryStrategy: () => null })
  redis.on('error', () => undefined)
  try {
    await redis.connect()
    return await question(redis)
  } catch {
    return null
  } finally {
    redis.disconnect()
  }
}
const servingPid = () => ask(async (redis) => Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]))

test('a second server on the same directory waits, takes nothing from the first, and has its data when that one is killed', async () => {
  const first = start()
  await waitFor('the first one serves', async () => (await servingPid()) === first.pid)
  await ask((redis) => redis.set('kept', 'yes'))
  const second = start()
  await waitFor('the second one waits for its lock', async () => {
    const locks = await readFile('/proc/locks', 'utf8')
    return new RegExp(`-> FLOCK\\s+ADVISORY\\s+WRITE\\s+${second.pid}\\b`).test(locks)
  })
  expect(await servingPid()).toBe(first.pid)
  first.kill('SIGKILL')
  await waitFor('the second one serves', async () => (await servingPid()) === second.pid)
  expect(await ask((redis) => redis.get('kept'))).toBe('yes')
})

test('where the system has no `flock` the server is run as it is', () => {
  const { command, args } = redisCommand(program, socketPath, directory, '')
  expect(command).toBe(program.command)
  expect(args).toContain(socketPath)
})
