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
import { leaseKey } from '../../../src/sessions/session-keys.ts'
import { readWorkers } from '../../chaos/leftovers.ts'
import { startLink } from '../../chaos/link.ts'
import { createRandom } from '../../chaos/random.ts'
import { readOwnership } from '../../chaos/read-logs.ts'
import { ecosystemFile, pidsOf, pm2Runner, projectRoot, stopFleet } from '../../support/fleet.ts'
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
  /** One worker by itself under PM2 as in production; resolves with how its present process id is asked for. */
  startUnderPm2(): Promise<() => Promise<number>>
  /** Sessions whose lease is this process's. */
  heldBy(pid: number): Promise<string[]>
  allConnected(withinMs?: number): Promise<void>
  /** Every worker within 15 % of an even share. */
  even(): Promise<void>
  /** What the workers logged since then under these names. */
  linesSince(at: number, names: readonly string[]): Promise<LogLine[]>
  /** Waits until every message that was accepted has come to an end; no more are accepted from then on. */
  messagesAtEnd(): Promise<MessageTally>
  /** What each connection carried and when, with `isLinked`. */
  ownership(): ReturnType<typeof readOwnership>
  close(): Promise<void>
}

export interface MessageTally {
  accepted: number
  /** Different messages that the phones show. */
  shown: number
  /** Frames that came once more with an id that had been taken. */
  repeatedFrames: number
  orderViolations: number
}

interface Options {
  provisioned: Provisioned
  dir: string
  sessionCount: number
  /** Messages a second of all sessions together. */
  messagesPerSecond: number
  ttlMs: number
  /** All connections to WhatsApp go through a link that remembers what each carried. */
  isLinked?: boolean
}

const prefix = 'uj'
/** The times that are reported come from the log; asking three hundred sessions more often would slow down what is measured. */
const pollMs = 500

export async function startWorkerFleet({
  provisioned,
  dir,
  sessionCount,
  messagesPerSecond,
  ttlMs,
  isLinked = false,
}: Options): Promise<WorkerFleet> {
  const sandbox = await provisioned.startSandbox('recovery')
  const link = isLinked ? await startLink(sandbox.port, createRandom(1)) : null
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
    UJUMBE_WHATSAPP_URL: link ? `ws://127.0.0.1:${link.port}/ws/chat` : sandbox.url,
    UJUMBE_LEASE_TTL_MS: String(ttlMs),
    UJUMBE_WORKER_CAPACITY: '1000',
    LOG_LEVEL: 'info',
  }
  const isConnected = async (id: string) => (await readLiveSession({ redis, prefix }, id)).state === 'connected'

  const pm2 = pm2Runner({ ...inherited(), ...env, PM2_HOME: join(dir, 'pm2'), UJUMBE_SESSION_WORKERS: '1' })
  let isUnderPm2 = false

  const before = await countFrames(sandbox, provisioned.people)
  let acceptedCount = 0
  let place = 0
  const send = setInterval(() => {
    const index = (place += 1) % sessionCount
    const sessionId = product.sessionIds[index] ?? ''
    const to = recipientsOf(provisioned.people, index)[place % 2] ?? ''
    const deps = { ...product.store, queues, redis: accepting, prefix, announce: () => undefined, log }
    const input = { sessionId, request: textRequest(`+${to}`, `message ${place}`), idempotencyKey: null }
    acceptMessage(deps, input).then(
      () => (acceptedCount += 1),
      () => undefined, // refused while something is away
    )
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
    startUnderPm2: async () => {
      isUnderPm2 = true
      await pm2('start', ecosystemFile, '--only', 'session-worker', '--silent')
      return async () => (await pidsOf(pm2, 'session-worker'))[0] ?? 0
    },
    heldBy: async (pid) => {
      const worker = (await readWorkers(redis, prefix)).find((each) => each.pid === pid)
      const owners = await Promise.all(product.sessionIds.map((id) => redis.hget(leaseKey(prefix, id), 'owner')))
      return product.sessionIds.filter((_, index) => worker !== undefined && owners[index] === worker.incarnation)
    },
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
    messagesAtEnd: async () => {
      clearInterval(send)
      const counts = async () => {
        const now = await countFrames(sandbox, provisioned.people)
        return {
          shown: now.shown - before.shown,
          repeatedFrames: now.repeated - before.repeated,
          orderViolations: now.disordered,
        }
      }
      const isDone = async () => (await counts()).shown >= acceptedCount
      await waitFor('all messages on the phones', isDone, 60_000, 250).catch(() => undefined) // the figures say so
      return { accepted: acceptedCount, ...(await counts()) }
    },
    ownership: () => readOwnership(join(dir, 'logs'), link?.records ?? []),
    close: async () => {
      clearInterval(send)
      if (isUnderPm2) await stopFleet(pm2)
      await Promise.all(workers.map((worker) => worker.stop()))
      queues.close()
      await Promise.all([closeRedis(redis), closeRedis(accepting)])
      await product.close()
      await link?.close()
      await sandbox.close()
    },
  }
}

async function countFrames(
  { client }: TestSandbox,
  people: readonly string[],
): Promise<{ shown: number; repeated: number; disordered: number }> {
  const sum = { shown: 0, repeated: 0, disordered: 0 }
  for (const { phoneNumber, counts } of await client.phones()) {
    if (!people.includes(phoneNumber)) continue // an account's own phone shows what its other devices send
    sum.shown += counts.distinctIds
    sum.repeated += counts.duplicates
    sum.disordered += counts.orderViolations
  }
  return sum
}

function inherited(): Record<string, string> {
  return Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
}
