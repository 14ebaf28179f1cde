// Redis connections by the way they fail: producers answer at once, workers wait, subscribers stay subscribed.
import { connect } from 'node:net'
import { Redis, type Command, type RedisOptions } from 'ioredis'
import { monotonicMs } from './clock.ts'
import { AppError } from './errors.ts'
import type { Log } from './log.ts'

export type RedisRole =
  /** For requests: a command fails at once while Redis is away. */
  | 'producer'
  /** For loops: commands wait until Redis is back. */
  | 'worker'
  /** For pub/sub: subscriptions are made again after a reconnect. */
  | 'subscriber'

interface RedisTarget {
  redisUrl?: string | undefined
  redisSocketPath: string
  redisPrefix?: string | undefined
}

const shared = {
  protocol: 2,
  connectTimeout: 5_000,
  keepAlive: 10_000,
  retryStrategy: (attempt: number) => Math.min(50 * 2 ** Math.min(attempt, 6), 2_000) * (0.5 + Math.random() / 2),
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
} satisfies RedisOptions

const byRole = {
  producer: { enableOfflineQueue: false, maxRetriesPerRequest: 1 },
  worker: { maxRetriesPerRequest: null },
  subscriber: { maxRetriesPerRequest: null, autoResubscribe: true },
} satisfies Record<RedisRole, RedisOptions>

/** A producer's command has its answer after this time, or fails. */
const answerMs = 1_500

/** Connects in the background. Connection errors are logged once per outage, never thrown as events. */
export function connectRedis(target: RedisTarget, role: RedisRole, log: Log): Redis {
  const name = target.redisPrefix === undefined ? {} : { connectionName: connectionName(target.redisPrefix) }
  const options = { ...shared, ...byRole[role], ...name }
  const { redisUrl } = target
  const isSocket = redisUrl === undefined || redisUrl.startsWith('unix:') // ioredis would take `unix` for a host name
  const path = redisUrl === undefined ? target.redisSocketPath : new URL(redisUrl).pathname
  const redis = isSocket ? new Redis({ ...options, path }) : new Redis(redisUrl, options)
  logOutages(redis, role, log)
  writeTogether(redis)
  if (role === 'producer') timeOutTogether(redis, answerMs)
  return redis
}

/**
 * Commands of one turn leave in one system call: ioredis writes each for itself, and BullMQ needs them unpipelined. None waits longer
 * than until the code that is running has come to its end.
 */
function writeTogether(redis: Redis): void {
  redis.on('connect', () => {
    const { stream } = redis
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
    stream.write = (...args: unknown[]): boolean => {
      if (stream.writableCorked === 0) {
        stream.cork()
        process.nextTick(() => stream.uncork())
      }
      return write(...args)
    }
  })
}

/**
 * One timer for all commands: ioredis' own `commandTimeout` sets one for each and, when it takes it away, turns the command into a slow
 * object ten times as large.
 */
function timeOutTogether(redis: Redis, limitMs: number): void {
  /** Oldest first. */
  const waiting = new Map<Command, number>()
  let timer: NodeJS.Timeout | undefined
  const look = (): void => {
    timer = undefined
    const now = monotonicMs()
    for (const [command, deadline] of waiting) {
      if (deadline > now) {
        timer = setTimeout(look, Math.ceil(deadline - now)).unref()
        return
      }
      command.reject(new Error('Command timed out'))
    }
  }
  const send = redis.sendCommand.bind(redis)
  redis.sendCommand = (command, stream) => {
    // Not when it is sent again after a reconnect: its time goes on.
    if (!waiting.has(command)) {
      waiting.set(command, monotonicMs() + limitMs)
      timer ??= setTimeout(look, limitMs).unref()
      const { resolve, reject } = command
      command.resolve = (reply) => {
        waiting.delete(command)
        resolve(reply)
      }
      command.reject = (error) => {
        waiting.delete(command)
        reject(error)
      }
    }
    return send(command, stream)
  }
}

/** A further connection to the same Redis, for pub/sub. */
export function connectSubscriber(redis: Redis, log: Log): Redis {
  const { replyMapping: _default, ...options } = redis.options
  const subscriber = new Redis({ ...options, ...shared, ...byRole.subscriber, enableOfflineQueue: true })
  logOutages(subscriber, 'subscriber', log)
  return subscriber
}

/** What connections of this fleet are called in Redis' list of clients. */
function connectionName(prefix: string): string {
  return `ujumbe-${prefix}`
}

/** From where processes of the fleet are connected. `redis` itself, made without a prefix, is none of them. */
export async function listFleetConnections(redis: Redis, prefix: string): Promise<string[]> {
  const clients = (await redis.client('LIST')) as string
  return clients.split('\n').flatMap((line) => {
    const { name, addr } = Object.fromEntries(
      line
        .trim()
        .split(' ')
        .map((field) => field.split(/=(.*)/, 2)),
    )
    return name === connectionName(prefix) ? [addr ?? ''] : []
  })
}

function logOutages(redis: Redis, role: RedisRole, log: Log): void {
  let away = false
  redis.on('error', (err: unknown) => {
    if (!away) log.warn({ err, role }, 'redis.lost')
    away = true
  })
  redis.on('ready', () => {
    if (away) log.info({ role }, 'redis.returned')
    away = false
  })
}

/**
 * Ends with one sentence when nothing listens where Redis should be; waits up to `waitMs` for it.
 * @throws AppError `configuration`
 */
export async function requireRedis(target: RedisTarget, waitMs = 10_000): Promise<void> {
  const end = performance.now() + waitMs
  for (;;) {
    if (await listens(target)) return
    if (performance.now() > end) break
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const where = target.redisUrl ? 'at REDIS_URL' : `on ${target.redisSocketPath}`
  throw new AppError(
    'configuration',
    `Redis does not answer ${where}. Start the fleet with \`npm start\`, or set REDIS_URL to a running Redis (6.2 or newer).`,
  )
}

async function listens(target: RedisTarget): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = target.redisUrl ? connectUrl(target.redisUrl) : connect({ path: target.redisSocketPath })
    const settle = (up: boolean) => {
      socket.destroy()
      resolve(up)
    }
    socket.once('connect', () => settle(true))
    socket.once('error', () => settle(false))
    socket.setTimeout(2_000, () => settle(false))
  })
}

function connectUrl(text: string) {
  const url = new URL(text)
  if (url.protocol === 'unix:') return connect({ path: url.pathname })
  return connect({ host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 6379) })
}

/** `quit` bounded by a second, then the connection is cut. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === 'end') return
  const cut = setTimeout(() => redis.disconnect(), 1_000)
  try {
    await redis.quit()
  } catch {
    redis.disconnect()
  } finally {
    clearTimeout(cut)
  }
}

/** `<prefix>:<part>:<part>`; every key and channel of ours is made here. BullMQ's live under `<prefix>:bull`. */
export function redisKey(prefix: string, ...parts: string[]): string {
  return [prefix, ...parts].join(':')
}

/** The `prefix` option of every BullMQ queue and worker. */
export function bullPrefix(prefix: string): string {
  return `${prefix}:bull`
}

/**
 * For requests that would be in vain without Redis; on a 'producer' connection it answers within its command time-out.
 * @throws AppError `redis_unavailable`
 */
export async function pingRedis(redis: Redis): Promise<void> {
  try {
    await redis.ping()
  } catch (cause) {
    throw new AppError('redis_unavailable', undefined, { cause, retryAfterSeconds: 2 })
  }
}
