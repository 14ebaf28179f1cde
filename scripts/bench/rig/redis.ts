// A Redis as the product embeds it: unix socket, append-only file; with its process id and its count of commands.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { provideRedisProgram, redisArguments } from '../../../src/platform/embedded-redis.ts'
import { projectRoot } from '../../support/fleet.ts'
import { endsWithUs } from './leftovers.ts'

export interface BenchRedis {
  url: string
  pid: number
  /** Commands since the start as Redis counts them, those inside scripts included; not those that ask for it. */
  commands(): Promise<number>
  close(): Promise<void>
}

export async function startBenchRedis(dir: string): Promise<BenchRedis> {
  const directory = join(dir, 'redis')
  mkdirSync(directory, { recursive: true })
  const path = join(directory, 'redis.sock')
  const program = await provideRedisProgram(join(projectRoot, 'data'), process.env['PATH'] ?? '')
  const server = spawn(program.command, redisArguments(path, directory), {
    cwd: directory,
    env: { ...process.env, ...program.env },
    stdio: 'ignore',
  })
  server.once('exit', endsWithUs(server.pid ?? 0))
  const client = new Redis({ path, retryStrategy: (n) => (n > 400 ? null : 25), maxRetriesPerRequest: null })
  client.on('error', () => undefined)
  await client.ping()
  let own = 0
  return {
    url: `unix://${path}`,
    pid: server.pid ?? 0,
    commands: async () => {
      own += 1
      return Number(/total_commands_processed:(\d+)/.exec(await client.info('stats'))?.[1]) - own
    },
    close: async () => {
      client.disconnect()
      if (server.exitCode !== null) return
      server.kill('SIGTERM')
      await once(server, 'exit')
    },
  }
}
