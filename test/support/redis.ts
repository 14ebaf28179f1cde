// A Redis of the test's own: real server, unix socket, temporary directory; it can be stopped, emptied and started again.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'

export interface TestRedis {
  /** Fits the `target` of `connectRedis`. */
  readonly target: { redisUrl: undefined; redisSocketPath: string }
  readonly socketPath: string
  /** Stops the server (its data stays); resolves when it is gone. */
  stop(): Promise<void>
  /** kill -9. */
  kill(): Promise<void>
  start(): Promise<void>
  /** SIGSTOP and SIGCONT. */
  pause(): void
  resume(): void
  close(): Promise<void>
}

/** `redis-server` must be on PATH (`.ci/run` and the demo see to that). */
export async function startTestRedis(options: { appendOnly?: boolean } = {}): Promise<TestRedis> {
  const dir = await mkdtemp(join(tmpdir(), 'uj-redis-'))
  const socketPath = join(dir, 'r.sock')
  let server: ChildProcess | undefined

  const start = async () => {
    const libraries = process.env['UJUMBE_TEST_REDIS_LIBRARIES']
    const program = process.env['UJUMBE_TEST_REDIS_SERVER'] ?? 'redis-server'
    const args = [
      '--port',
      '0',
      '--unixsocket',
      socketPath,
      '--dir',
      dir,
      '--save',
      '',
      '--appendonly',
      options.appendOnly ? 'yes' : 'no',
    ]
    const child = spawn(program, [...args, '--maxmemory-policy', 'noeviction'], {
      stdio: 'ignore',
      env: { ...process.env, ...(libraries ? { LD_LIBRARY_PATH: libraries } : {}) },
    })
    server = child
    const probe = new Redis({
      path: socketPath,
      lazyConnect: true,
      retryStrategy: (n) => (n > 200 ? null : 25),
      maxRetriesPerRequest: null,
    })
    probe.on('error', () => undefined)
    try {
      await Promise.race([
        probe.connect().catch(() => probe.ping()),
        once(child, 'error').then(([error]) => Promise.reject(error as Error)),
      ])
      while ((await probe.ping().catch(() => 'no')) !== 'PONG');
    } finally {
      probe.disconnect()
    }
  }
  const end = async (signal: NodeJS.Signals) => {
    const child = server
    server = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
  await start()
  return {
    target: { redisUrl: undefined, redisSocketPath: socketPath },
    socketPath,
    start,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    pause: () => void server?.kill('SIGSTOP'),
    resume: () => void server?.kill('SIGCONT'),
    close: async () => {
      await end('SIGKILL')
      await rm(dir, { recursive: true, force: true })
    },
  }
}
