// What a webhook test needs: a real Redis and store, a session, endpoints, deliveries that run, and ticks that repair.
import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import { seal, unseal } from '../../src/platform/crypto.ts'
import { newId } from '../../src/platform/id.ts'
import type { Log } from '../../src/platform/log.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { runBeats } from '../../src/platform/beat.ts'
import type { RunningTicks } from '../../src/platform/run-tick.ts'
import { newSession } from '../../src/sessions/session.ts'
import type { DeliveryRecord, EndpointRecord, EventDraft } from '../../src/store/event-store.ts'
import { createEndpoint } from '../../src/webhooks/create-endpoint.ts'
import { advanceReplays } from '../../src/webhooks/advance-replays.ts'
import { createDeliveryQueue, createReplayQueue, createRetryQueue } from '../../src/webhooks/delivery-queue.ts'
import { EndpointRooms } from '../../src/webhooks/endpoint-room.ts'
import { createGuardPolicy, type GuardPolicy } from '../../src/webhooks/guard-url.ts'
import { announceEvents } from '../../src/webhooks/publish-event.ts'
import { retryDeliveries } from '../../src/webhooks/retry-deliveries.ts'
import {
  deliveryDefaults,
  runDeliveries,
  type DeliverySettings,
  type RunningDeliveries,
} from '../../src/webhooks/run-deliveries.ts'
import type { SecretBox } from '../../src/webhooks/secret-box.ts'
import type { Receiver } from './receiver.ts'
import { startTestRedis, type TestRedis } from './redis.ts'
import { openTestSqlite, type TestSqlite, type TestStore } from './store.ts'

export const silentLog: Log = pino({ level: 'silent' })

/** The whole of loopback is allowed, as the demo does. */
export const loopbackAllowed: GuardPolicy = createGuardPolicy(['127.0.0.0/8'])

/** Seals with a key of this test run. */
function testSecretBox(key = randomBytes(32)): SecretBox {
  return {
    seal: (context, plain) => seal(key, plain, context),
    open: (context, sealed) => unseal(key, sealed, context),
  }
}

interface Options {
  settings?: Partial<DeliverySettings>
  guardPolicy?: GuardPolicy
  log?: Log
  /** Without: SQLite in a directory of its own. */
  openStore?: () => Promise<TestStore>
  /** Without: only what the test starts by `deliver` and `repair`. */
  running?: boolean
}

export interface WebhookBench {
  redis: TestRedis
  store: TestStore['store']
  /** The SQLite file; '' where the store is another. */
  storePath: string
  prefix: string
  secretBox: SecretBox
  sessionId: string
  connection: ReturnType<typeof connectRedis>
  deliveryQueue: ReturnType<typeof createDeliveryQueue>
  retryQueue: ReturnType<typeof createRetryQueue>
  replayQueue: ReturnType<typeof createReplayQueue>
  endpoint(
    receiver: Receiver,
    input?: { events?: string[]; headers?: Record<string, string>; path?: string },
  ): Promise<EndpointRecord>
  /** Stores events as one change would, and announces them unless told not to. Gives the deliveries' ids. */
  publish(drafts: EventDraft[], announce?: boolean): Promise<string[]>
  delivery(id: string): Promise<DeliveryRecord>
  startDeliveries(): RunningDeliveries
  startRetryTick(everyMs?: number): Promise<RunningTicks>
  close(): Promise<void>
}

export function draft(n: number, extra: Record<string, unknown> = {}): EventDraft {
  return { type: 'message.sent', data: { message: { id: `msg_${n}`, n, ...extra } } }
}

export async function startWebhookBench(options: Options = {}): Promise<WebhookBench> {
  const redis = await startTestRedis()
  const opened: TestStore & Partial<TestSqlite> = await (options.openStore ?? openTestSqlite)()
  const { store } = opened
  const log = options.log ?? silentLog
  const prefix = 'wh'
  const connection = connectRedis(redis.target, 'worker', log)
  const secretBox = testSecretBox()
  const guardPolicy = options.guardPolicy ?? loopbackAllowed
  const deliveryQueue = createDeliveryQueue(connection, prefix)
  const retryQueue = createRetryQueue(connection, prefix)
  const replayQueue = createReplayQueue(connection, prefix)
  const rooms = new EndpointRooms(connection, prefix, log)
  const replayTurn = { after: '' }
  const sessionId = newId('ses')
  const now = Date.now()
  await store.sessions.create(
    {
      session: newSession({ id: sessionId, displayName: 'bench', pairingPhoneNumber: null, settings: {}, metadata: {}, now }),
      key: {
        id: newId('key'),
        sessionId,
        hash: randomBytes(32).toString('hex'),
        prefix: 'uj_ses_x',
        scopes: ['read'],
        expiresAt: null,
        createdAt: now,
      },
      endpoint: null,
    },
    () => [],
  )
  const open: { close(deadlineMs: number): Promise<void> }[] = []
  const settings: DeliverySettings = { ...deliveryDefaults, answerTimeoutMs: 1_000, ...options.settings }

  const bench: WebhookBench = {
    redis,
    store,
    storePath: opened.path ?? '',
    prefix,
    secretBox,
    sessionId,
    connection,
    deliveryQueue,
    retryQueue,
    replayQueue,
    endpoint: async (receiver, input = {}) => {
      const url = input.path ? new URL(input.path, receiver.url).href : receiver.url
      const made = await createEndpoint(
        { endpoints: store.endpoints, secretBox, guardPolicy: loopbackAllowed },
        { sessionId, url, events: input.events ?? ['*'], headers: input.headers },
      )
      receiver.secrets.push(made.secret)
      return made.endpoint
    },
    publish: async (drafts, announce = true) => {
      const published = await store.events.append(sessionId, drafts)
      if (announce) announceEvents({ deliveryQueue, log }, published)
      return published.flatMap(({ deliveries }) => deliveries.map(({ id }) => id))
    },
    delivery: async (id) => {
      const record = await store.deliveries.get(id)
      if (!record) throw new Error(`no delivery ${id}`)
      return record
    },
    startDeliveries: () => {
      const running = runDeliveries({ store, redis: connection, prefix, secretBox, guardPolicy, log }, settings)
      open.push(running)
      return running
    },
    startRetryTick: async (everyMs = 200) => {
      const ticks = runBeats({ redis: connection, prefix, log }, [
        {
          name: 'webhook-retries',
          everyMs,
          deadlineMs: 5_000,
          run: (signal) =>
            retryDeliveries({ deliveries: store.deliveries, rooms, deliveryQueue, retryQueue, replayQueue, log }, signal),
        },
        {
          name: 'webhook-replays',
          everyMs,
          deadlineMs: 5_000,
          run: (signal) => advanceReplays({ ...store, replayQueue, turn: replayTurn, log }, signal),
        },
      ])
      open.push(ticks)
      return ticks
    },
    close: async () => {
      for (const running of open.toReversed()) await running.close(3_000)
      await deliveryQueue.close()
      await retryQueue.close()
      await replayQueue.close()
      await closeRedis(connection)
      await opened.close()
      await redis.close()
    },
  }
  if (options.running ?? true) bench.startDeliveries()
  return bench
}
