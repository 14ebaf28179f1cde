// Starting and stopping the whole fleet under a PM2 of its own, for the demo, development, benchmarks and tests.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { loadConfig, type Config } from '../../src/platform/config.ts'
import { provideRedisProgram } from '../../src/platform/embedded-redis.ts'
import { ensureAdminKey } from '../../src/platform/local-secrets.ts'
import { ApiClient } from './api-client.ts'

const run = promisify(execFile)
export const projectRoot = resolve(import.meta.dirname, '..', '..')
export const ecosystemFile = join(projectRoot, 'ecosystem.config.js')
export const pm2Program = (name: 'pm2' | 'pm2-runtime') => join(projectRoot, 'node_modules', 'pm2', 'bin', name)

export interface Fleet {
  config: Config
  apiUrl: string
  admin: ApiClient
  /** One PM2 command against this fleet's own daemon; resolves with what it printed. */
  pm2: Pm2
  /** Process ids by PM2 name, as they are now. */
  pids(name: string): Promise<number[]>
  /** Workers first, Redis last, then the daemon. Resolves when every process is gone. */
  stop(): Promise<void>
}

interface StartOptions {
  env: Record<string, string>
  /** Milliseconds until `/readyz` must answer. */
  readyWithinMs?: number
  onProgress?: (line: string) => void
}

/** The apps in the order they must end: those that hold leases before those they talk to. */
const stopOrder = ['api', 'session-worker', 'webhook-worker', 'scheduler', 'sandbox', 'redis']

/** @throws Error with what the processes last logged, when the fleet does not become ready in time. */
export async function startFleet(options: StartOptions): Promise<Fleet> {
  const config = loadConfig({ ...process.env, ...options.env })
  const progress = options.onProgress ?? (() => undefined)
  const { env, adminKey } = await prepareMachine(config, options.env, progress)
  const pm2 = pm2Runner(env)
  const apiUrl = `http://${config.host}:${config.port}`
  const fleet: Fleet = {
    config,
    apiUrl,
    admin: new ApiClient(apiUrl, adminKey),
    pm2,
    pids: (name) => pidsOf(pm2, name),
    stop: () => stopFleet(pm2),
  }
  try {
    progress('Starting the processes')
    await pm2('start', ecosystemFile, '--silent')
    await untilReady(apiUrl, options.readyWithinMs ?? 45_000)
  } catch (error) {
    const logs = await lastLogs(config.dataDir)
    await fleet.stop().catch(() => undefined)
    throw new Error(`The fleet did not become ready: ${(error as Error).message}\n${logs}`, { cause: error })
  }
  return fleet
}

/** What must be there before PM2 starts anything: the data directory, a Redis program, the admin key, the environment of all processes. */
export async function prepareMachine(config: Config, overrides: Record<string, string>, progress: (line: string) => void) {
  mkdirSync(config.dataDir, { recursive: true })
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith('VITEST'),
  )
  const env: Record<string, string> = {
    ...Object.fromEntries(inherited),
    ...overrides,
    UJUMBE_DATA_DIR: config.dataDir,
    PM2_HOME: join(config.dataDir, 'pm2'),
    PM2_CONCURRENT_ACTIONS: '8',
    PM2_DISABLE_VERSION_CHECK: 'true',
  }
  if (!config.redisUrl) {
    progress('Looking for redis-server (fetched once when there is none)')
    await provideRedisProgram(join(projectRoot, 'data'), env['PATH'] ?? '')
  }
  return { env, adminKey: ensureAdminKey(config).key }
}

export type Pm2 = (...args: string[]) => Promise<string>

/** One PM2 command against the daemon of `env.PM2_HOME`, bounded. */
export function pm2Runner(env: Record<string, string>): Pm2 {
  return async (...args) => {
    const { stdout } = await run(process.execPath, [pm2Program('pm2'), ...args], {
      cwd: projectRoot,
      env,
      timeout: 90_000,
      maxBuffer: 64 * 1024 * 1024,
    })
    return stdout
  }
}

async function untilReady(apiUrl: string, withinMs: number): Promise<void> {
  const end = performance.now() + withinMs
  let last = 'no answer'
  while (performance.now() < end) {
    try {
      const response = await fetch(`${apiUrl}/readyz`, { signal: AbortSignal.timeout(2_000) })
      if (response.ok) return
      last = `${response.status} ${await response.text()}`
    } catch (error) {
      last = (error as Error).message
    }
    await new Promise((done) => setTimeout(done, 100))
  }
  throw new Error(`/readyz did not answer 200 within ${withinMs} ms (${last})`)
}

/** Process ids by PM2 name, as they are now. */
export async function pidsOf(pm2: Pm2, name: string): Promise<number[]> {
  const list = JSON.parse(await pm2('jlist', '--silent')) as { name: string; pid: number }[]
  return list.filter((app) => app.name === name && app.pid > 0).map((app) => app.pid)
}

/** Workers first, Redis last, then the daemon itself. */
export async function stopFleet(pm2: Pm2): Promise<void> {
  for (const name of stopOrder) await pm2('delete', name, '--silent').catch(() => undefined) // not every fleet has every app
  await pm2('kill', '--silent')
}

async function lastLogs(dataDir: string): Promise<string> {
  const texts = await Promise.all(
    stopOrder.map(async (name) => {
      const text = await readFile(join(dataDir, 'logs', `${name}.log`), 'utf8').catch(() => '')
      return text === '' ? '' : `--- ${name}\n${text.trim().split('\n').slice(-8).join('\n')}`
    }),
  )
  return texts.filter((text) => text !== '').join('\n')
}
