// Session workers that a measurement kills, ends and starts, over sessions that are paired already, with messages under way.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { acceptMessage } from '../../../src/messages/accept-message.ts'
import { SendQueues } from '../../../src/messages/send-queue.ts'
import { closeRedis, connectRedis } from '../../../src/platform/redis.ts'
import { readLiveSession } from '../../../src/sessions/live-session.ts'
import { textRequest } from '../../../test/support/send-rig.ts'
import type { TestSandbox } from '../../../test/support/sandbox.ts'
import { waitFor } from '../../../test/support/wait.ts'
import { readWorkers } from '../../chaos/leftovers.ts'
import { projectRoot } from '../../support/fleet.ts'
import { startChild, type Child } from './child.ts'
import { startProductFleet } from './product-fleet.ts'
import { recipientsOf, type Provisioned } from './provision.ts'

export interface LogLine {
  /** Milliseconds since 1970. */
  at: number
  pid: number
  msg: string
  sessionId: string
  [field: string]: unknown
}

export interface WorkerFleet {
  sandbox: TestSandbox
  workers: Child[]
  startWorker(env?: Record<string, string>): Promise<Child>
  /** Kills with -9 and resolves when the process is gone. */
  kill(worker: Child): Promise<void>
  /** Sessions that this worker says it holds. */
  heldBy(worker: Child): Promise<number>
  allConnected(withinMs?: number): Promise<void>
  /** Every worker within 15 % of an even share. */
  even(): Promise<void>
  /** What the workers logged since then under these names. */
  linesSince(at: number, names: readonly string[]): Promise<LogLine[]>
  close(): Promise<void>
}

interface Options {
  provisioned: Provisioned
  dir: string
  sessionCount: number
  /** Messages a second of all sessions together. */
  messagesPerSecond: number
  ttlMs: number
}

const prefix = 'uj'
const pollMs = 25

export async function startWorkerFleet({
  provisioned,
  dir,
  sessionCount,
  messagesPerSecond,
  ttlMs,
}: Options): Promise<WorkerFleet> {
  const sandbox = await provisioned.startSandbox('recovery')
  const product = await startProductFleet({ dir, apps: [], whatsappUrl: sandbox.url })
  await product.addSessions(provisioned.devices.slice(0, sessionCount))
  const log = pino({ level: 'silent' })
  const target = { redisUrl: product.redis.url, redisSocketPath: '' }
  const redis = connectRedis(target, 'worker', log)
  const accepting = connectRedis(target, 'producer', log)
  const queues = new SendQueues(accepting, prefix)
  const workers: Child[] = []
  const env = {
    UJUMBE_DATA_DIR: dir,
    REDIS_URL: product.redis.url,
    UJUMBE_WHATSAPP_URL: sandbox.url,
    UJUMBE_LEASE_TTL_MS: String(ttlMs),
    UJUMBE_WORKER_CAPACITY: '1000',
    LOG_LEVEL: 'info',
  }
  const isConnected = async (id: string) => (await readLiveSession({ redis, prefix }, id)).state === 'connected'

  let place = 0
  const send = setInterval(() => {
    const index = (place += 1) % sessionCount
    const sessionId = product.sessionIds[index] ?? ''
    const to = recipientsOf(provisioned.people, index)[place % 2] ?? ''
    const deps = { ...product.store, queues, redis: accepting, prefix, announce: () => undefined, log }
    const input = { sessionId, request: textRequest(`+${to}`, `message ${place}`), idempotencyKey: null }
    acceptMessage(deps, input).catch(() => undefined) // refused while something is away
  }, 1_000 / messagesPerSecond)

  return {
    sandbox,
    workers,
    startWorker: async (more = {}) => {
      const worker = await startChild(join(projectRoot, 'workers', 'session-worker.ts'), { dir, env: { ...env, ...more } })
      workers.push(worker)
      return worker
    },
    kill: async (worker) => {
      workers.splice(workers.indexOf(worker), 1)
      const gone = once(worker.process, 'exit')
      worker.process.kill('SIGKILL')
      await gone
    },
    heldBy: async ({ pid }) => (await readWorkers(redis, prefix)).find((worker) => worker.pid === pid)?.held ?? 0,
    allConnected: async (withinMs = 120_000) => {
      const all = async () => (await Promise.all(product.sessionIds.map(isConnected))).every(Boolean)
      await waitFor(`${sessionCount} sessions are connected`, all, withinMs, pollMs)
    },
    even: async () => {
      const isEven = async () => {
        const held = (await readWorkers(redis, prefix)).map((worker) => worker.held)
        const share = sessionCount / workers.length
        return held.length === workers.length && held.every((count) => Math.abs(count - share) <= Math.max(1, 0.15 * share))
      }
      await waitFor('even shares', isEven, 120_000, 250)
    },
    linesSince: async (at, names) => {
      const text = await readFile(join(dir, 'logs', 'session-worker.log'), 'utf8')
      return text.split('\n').flatMap((line) => {
        if (!names.some((name) => line.includes(`"${name}"`))) return []
        const entry = JSON.parse(line) as LogLine & { time: string }
        return Date.parse(entry.time) >= at ? [{ ...entry, at: Date.parse(entry.time) }] : []
      })
    },
    close: async () => {
      clearInterval(send)
      await Promise.all(workers.map((worker) => worker.stop()))
      queues.close()
      await Promise.all([closeRedis(redis), closeRedis(accepting)])
      await product.close()
      await sandbox.close()
    },
  }
}
