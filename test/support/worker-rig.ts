// Session workers as real processes against a sandbox: their Redis, their store, and the other ends of both for the test.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { pino } from 'pino'
import { acceptMessage } from '../../src/messages/accept-message.ts'
import { SendQueues } from '../../src/messages/send-queue.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { readLiveSession, wakeSession, type LiveSession } from '../../src/sessions/live-session.ts'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'
import type { SessionIntent, SessionRecord } from '../../src/store/session-store.ts'
import type { Store } from '../../src/store/store.ts'
import { newSession } from './records.ts'
import { startTestRedis, type TestRedis } from './redis.ts'
import { startTestSandbox, type TestSandbox } from './sandbox.ts'
import { textRequest } from './send-rig.ts'
import { waitFor } from './wait.ts'
import { startWorkerProcess, type WorkerProcess } from './worker-process.ts'

export const prefix = 'rig'

export interface WorkerRig {
  redis: TestRedis
  /** A 'producer' connection of the test's own. */
  commands: Redis
  sandbox: TestSandbox
  store: Store
  /** The SQLite file. */
  storePath: string
  startWorker(env?: Record<string, string>): Promise<WorkerProcess>
  startScheduler(): Promise<WorkerProcess>
  /** All that were started, ended ones too. */
  workers: WorkerProcess[]
  addSession(changes?: Partial<SessionRecord>): Promise<string>
  /** Adds the phone when it is new, scans the code that the session shows, and waits for `connected`. */
  pair(sessionId: string, phoneNumber: string): Promise<void>
  request(sessionId: string, intent: SessionIntent): Promise<void>
  live(sessionId: string): Promise<LiveSession>
  session(sessionId: string): Promise<SessionRecord>
  waitStatus(sessionId: string, status: SessionRecord['status'], deadlineMs?: number): Promise<SessionRecord>
  /** Held by a living worker, and connected. */
  waitConnected(sessionId: string, deadlineMs?: number): Promise<LiveSession>
  send(sessionId: string, to: string, body: string): Promise<MessageRecord>
  close(): Promise<void>
}

export async function startWorkerRig(defaults: Record<string, string> = {}): Promise<WorkerRig> {
  const dataDir = await mkdtemp(join(tmpdir(), 'uj-rig-'))
  const log = pino({ level: 'silent' })
  const [redis, sandbox] = await Promise.all([startTestRedis({ appendOnly: true }), startTestSandbox({ process: true })])
  const storePath = join(dataDir, 'ujumbe.db')
  const store = await openSqliteStore(storePath)
  const commands = connectRedis(redis.target, 'producer', log)
  await waitFor('Redis', () => commands.status === 'ready')
  const queues = new SendQueues(commands, prefix)
  const workers: WorkerProcess[] = []
  const env = {
    UJUMBE_DATA_DIR: dataDir,
    REDIS_URL: `unix://${redis.socketPath}`,
    UJUMBE_REDIS_PREFIX: prefix,
    UJUMBE_WHATSAPP_URL: sandbox.url,
    LOG_LEVEL: 'debug',
    ...defaults,
  }
  const session = async (sessionId: string) => {
    const record = await store.sessions.get(sessionId)
    if (!record) throw new Error(`no session ${sessionId}`)
    return record
  }
  const live = (sessionId: string) => readLiveSession({ redis: commands, prefix }, sessionId)
  const waitStatus: WorkerRig['waitStatus'] = (sessionId, status, deadlineMs) =>
    waitFor(
      `${status} of ${sessionId}`,
      async () => {
        const record = await session(sessionId)
        return record.status === status && record
      },
      deadlineMs,
    )
  return {
    redis,
    commands,
    sandbox,
    store,
    storePath,
    workers,
    session,
    live,
    waitStatus,
    startWorker: async (more = {}) => {
      const worker = await startWorkerProcess('session-worker', { ...env, ...more })
      workers.push(worker)
      return worker
    },
    startScheduler: async () => {
      const scheduler = await startWorkerProcess('scheduler', env)
      workers.push(scheduler)
      return scheduler
    },
    addSession: async (changes) => {
      const input = newSession(changes)
      await store.sessions.create(input, () => [])
      await wakeSession(commands, prefix, input.session.id, 'intent')
      return input.session.id
    },
    pair: async (sessionId, phoneNumber) => {
      await sandbox.client.addPhone({ phoneNumber }).catch(() => undefined)
      const code = async () => {
        const { qr } = await live(sessionId)
        return qr !== null && { qr }
      }
      const { qr } = await waitFor(`a QR code of ${sessionId}`, code, 60_000)
      await sandbox.client.scan(phoneNumber, qr)
      await waitStatus(sessionId, 'connected', 60_000)
    },
    request: async (sessionId, intent) => {
      await store.sessions.request(sessionId, intent, Date.now())
      await wakeSession(commands, prefix, sessionId, 'intent')
    },
    waitConnected: (sessionId, deadlineMs) =>
      waitFor(
        `${sessionId} connected`,
        async () => {
          const state = await live(sessionId)
          return state.state === 'connected' && state
        },
        deadlineMs,
      ),
    send: async (sessionId, to, body) => {
      const deps = { ...store, queues, redis: commands, prefix, announce: () => undefined, log }
      const input = { sessionId, request: textRequest(to, body), idempotencyKey: null }
      return (await acceptMessage(deps, input)).message
    },
    close: async () => {
      await Promise.all(workers.map((worker) => worker.end('SIGKILL')))
      queues.close()
      await closeRedis(commands)
      await store.close()
      await Promise.all([redis.close(), sandbox.close()])
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** What the worker logged as `message`, parsed. */
export function logged(worker: WorkerProcess, message: string): Record<string, unknown>[] {
  return worker.lines
    .filter((line) => line.includes(`"${message}"`))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((entry) => entry['msg'] === message)
}
