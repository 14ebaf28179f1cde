// The only reader of the environment: every key, its meaning, its default; all faults reported at once.
import { hostname, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { sha256Hex } from './crypto.ts'
import { AppError } from './errors.ts'

const count = (fallback: number, min = 1, max = 1_000_000) => z.coerce.number().int().min(min).max(max).default(fallback)
const flag = z
  .enum(['true', 'false'])
  .default('false')
  .transform((value) => value === 'true')
const list = z
  .string()
  .default('')
  .transform((value) =>
    value
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  )

/** One row per variable: README's table and `.env.example` are generated from it. */
export const environment = z.object({
  HOST: z.string().default('127.0.0.1').describe('Address the API listens on.'),
  PORT: count(3000, 0, 65535).describe('Port of the API.'),
  REDIS_URL: z
    .url({ protocol: /^(redis|rediss|unix)$/ })
    .optional()
    .describe('Redis to use. Unset: an embedded redis-server on a unix socket in the data directory.'),
  MONGODB_URL: z
    .url({ protocol: /^mongodb(\+srv)?$/ })
    .optional()
    .describe('MongoDB replica set to store in. Unset: SQLite, one file in the data directory.'),
  UJUMBE_DATA_DIR: z.string().default('./data').describe('Directory for everything embedded: SQLite, Redis, keys, logs.'),
  UJUMBE_ADMIN_KEY: z
    .string()
    .regex(/^uj_admin_[A-Za-z0-9_-]{43}$/, 'must be uj_admin_ and 43 base64url characters')
    .optional()
    .describe('The admin key. Unset: made once and written to `<data>/admin-key`.'),
  UJUMBE_CREDENTIALS_KEY: z
    .base64()
    .refine((value) => Buffer.from(value, 'base64').length === 32, 'must be 32 bytes in base64')
    .optional()
    .describe(
      'Master key for WhatsApp credentials, 32 bytes in base64. Made once in embedded mode; with MONGODB_URL this or the file is required.',
    ),
  UJUMBE_CREDENTIALS_KEY_FILE: z
    .string()
    .optional()
    .describe(
      'File with master keys, one a line, the current one first; re-read when it changes. Used instead of UJUMBE_CREDENTIALS_KEY.',
    ),
  UJUMBE_WHATSAPP_URL: z
    .url({ protocol: /^wss?$/ })
    .default('wss://web.whatsapp.com/ws/chat')
    .describe('WhatsApp, or a sandbox (`ws://127.0.0.1:3100/ws/chat`).'),
  UJUMBE_ALLOW_SANDBOX: flag.describe('`true` allows a UJUMBE_WHATSAPP_URL whose host is not loopback.'),
  UJUMBE_WHATSAPP_VERSION: z
    .string()
    .regex(/^\d+\.\d+\.\d+$/)
    .optional()
    .describe('WhatsApp Web version to announce, like 2.3000.1023223821. Unset: the one Baileys ships.'),
  UJUMBE_API_INSTANCES: count(1, 1, 64).describe('API processes; several share the port.'),
  UJUMBE_SESSION_WORKERS: count(2, 0, 256).describe('Session worker processes on this machine.'),
  UJUMBE_WEBHOOK_WORKERS: count(1, 0, 64).describe('Webhook worker processes on this machine.'),
  UJUMBE_WORKER_CAPACITY: count(200, 1, 10_000).describe('Sessions one worker holds at most.'),
  UJUMBE_HOST_ID: z
    .string()
    .min(1)
    .max(100)
    .default(hostname())
    .describe('Name of this machine in the fleet. Default: the host name.'),
  UJUMBE_LEASE_TTL_MS: count(6000, 500, 120_000).describe('Milliseconds after which a silent worker counts as dead.'),
  UJUMBE_SOCKET_OPENS_PER_SECOND: count(50, 1, 10_000).describe('Connections to WhatsApp opened per second, whole fleet.'),
  UJUMBE_FLEET_MESSAGES_PER_SECOND: z.coerce
    .number()
    .positive()
    .max(100_000)
    .optional()
    .describe('Messages sent per second, whole fleet. Unset: no limit.'),
  UJUMBE_WEBHOOK_ALLOWED_NETWORKS: list.describe(
    'CIDRs that webhooks, proxies and link previews may reach although they are private, separated by commas.',
  ),
  UJUMBE_SANDBOX_PORT: count(3100, 0, 65535).describe('Port of the sandbox.'),
  UJUMBE_REDIS_PREFIX: z
    .string()
    .regex(/^[a-z0-9-]{1,40}$/)
    .default('uj')
    .describe('Prefix of every Redis key, so that several fleets can share one Redis.'),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .describe('Least level that is logged.'),
  UJUMBE_LOG_FILE_MEGABYTES: count(50, 0, 100_000).describe(
    'A log file in `<data>/logs` of this size is put aside; the newest four are kept of each. 0: something else sees to them.',
  ),
})

const realWhatsApp = 'wss://web.whatsapp.com/ws/chat'
const loopbackHosts = new Set(['localhost', '127.0.0.1', '[::1]'])

export type Config = ReturnType<typeof loadConfig>

/**
 * Reads and checks the environment.
 * @throws AppError `configuration` naming every fault, one a line.
 */
export function loadConfig(env: Record<string, string | undefined> = process.env) {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = environment.safeParse(given)
  const faults = parsed.success ? [] : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  const e = parsed.success ? parsed.data : undefined
  if (e) faults.push(...crossFaults(e))
  if (!e || faults.length > 0) throw new AppError('configuration', faults.join('\n'))

  const dataDir = resolve(e.UJUMBE_DATA_DIR)
  return {
    host: e.HOST,
    port: e.PORT,
    dataDir,
    redisUrl: e.REDIS_URL,
    redisSocketPath: embeddedRedisSocket(dataDir),
    redisPrefix: e.UJUMBE_REDIS_PREFIX,
    mongodbUrl: e.MONGODB_URL,
    sqlitePath: join(dataDir, 'ujumbe.db'),
    adminKey: e.UJUMBE_ADMIN_KEY,
    adminKeyPath: join(dataDir, 'admin-key'),
    credentialsKey: e.UJUMBE_CREDENTIALS_KEY,
    credentialsKeyFile: e.UJUMBE_CREDENTIALS_KEY_FILE,
    embeddedCredentialsKeyPath: join(dataDir, 'credentials-key'),
    whatsappUrl: e.UJUMBE_WHATSAPP_URL,
    /** Sessions paired with one network are never connected to the other. */
    network: e.UJUMBE_WHATSAPP_URL === realWhatsApp ? ('whatsapp' as const) : ('sandbox' as const),
    whatsappVersion: e.UJUMBE_WHATSAPP_VERSION?.split('.').map(Number) as [number, number, number] | undefined,
    apiInstances: e.UJUMBE_API_INSTANCES,
    sessionWorkers: e.UJUMBE_SESSION_WORKERS,
    webhookWorkers: e.UJUMBE_WEBHOOK_WORKERS,
    workerCapacity: e.UJUMBE_WORKER_CAPACITY,
    hostId: e.UJUMBE_HOST_ID,
    leaseTtlMs: e.UJUMBE_LEASE_TTL_MS,
    socketOpensPerSecond: e.UJUMBE_SOCKET_OPENS_PER_SECOND,
    fleetMessagesPerSecond: e.UJUMBE_FLEET_MESSAGES_PER_SECOND,
    webhookAllowedNetworks: e.UJUMBE_WEBHOOK_ALLOWED_NETWORKS,
    sandboxPort: e.UJUMBE_SANDBOX_PORT,
    logLevel: e.LOG_LEVEL,
    /** What PM2 writes: the processes' output, and of its own doing. */
    logDirectories: [join(dataDir, 'logs'), join(dataDir, 'pm2')],
    logFileBytes: e.UJUMBE_LOG_FILE_MEGABYTES * 1024 ** 2,
  }
}

function crossFaults(e: z.infer<typeof environment>): string[] {
  const faults: string[] = []
  if (Number(process.versions.node.split('.')[0]) < 26) {
    faults.push(`Node 26.10 or newer is needed, this is ${process.versions.node}. Use \`npm run …\`, which brings its own.`)
  }
  const url = new URL(e.UJUMBE_WHATSAPP_URL)
  if (e.UJUMBE_WHATSAPP_URL !== realWhatsApp && !loopbackHosts.has(url.hostname) && !e.UJUMBE_ALLOW_SANDBOX) {
    faults.push('UJUMBE_WHATSAPP_URL: the host is not loopback. Set UJUMBE_ALLOW_SANDBOX=true if you mean it.')
  }
  if (e.MONGODB_URL && !e.UJUMBE_CREDENTIALS_KEY && !e.UJUMBE_CREDENTIALS_KEY_FILE) {
    faults.push(
      'UJUMBE_CREDENTIALS_KEY: required with MONGODB_URL (or UJUMBE_CREDENTIALS_KEY_FILE): every machine of the fleet needs the same key.',
    )
  }
  return faults
}

/** A unix socket path may have 107 bytes; a deeper data directory gets one in the temporary directory, named by its path. */
function embeddedRedisSocket(dataDir: string): string {
  const path = join(dataDir, 'redis', 'redis.sock')
  if (Buffer.byteLength(path) <= 100) return path
  return join(tmpdir(), `ujumbe-${sha256Hex(dataDir).slice(0, 20)}.sock`)
}
