// The product as it runs on one machine, process by process, with sessions that are paired already.
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { loadConfig } from '../../../src/platform/config.ts'
import { newId } from '../../../src/platform/id.ts'
import { closeRedis, connectRedis, requireRedis } from '../../../src/platform/redis.ts'
import { newKey } from '../../../src/sessions/issue-key.ts'
import { offerSessions } from '../../../src/sessions/live-session.ts'
import { newSession } from '../../../src/sessions/session.ts'
import { createCredentialVault } from '../../../src/store/credential-vault.ts'
import { createKeyRing } from '../../../src/store/key-ring.ts'
import { scopes } from '../../../src/store/key-store.ts'
import { openStore } from '../../../src/store/open-store.ts'
import type { Store } from '../../../src/store/store.ts'
import { waitFor } from '../../../test/support/wait.ts'
import { projectRoot } from '../../support/fleet.ts'
import { freePort } from '../../support/ports.ts'
import { unpaced } from '../../support/api-client.ts'
import { startChild, type Child } from './child.ts'
import type { LinkedDevice } from './provision.ts'
import { startBenchRedis, type BenchRedis } from './redis.ts'

export type App = 'api' | 'session-worker' | 'webhook-worker' | 'scheduler'

export interface ProductFleet {
  apiUrl: string
  adminKey: string
  redis: BenchRedis
  store: Store
  /** In the order they were added; a session's place tells its recipients. */
  sessionIds: string[]
  /** Process ids of one kind, or of everything, Redis included. */
  pids(app?: App): number[]
  /** Makes one session for each device; those with credentials are claimed and connected by a running worker. */
  addSessions(devices: (LinkedDevice | null)[]): Promise<void>
  connected(count: number): Promise<void>
  close(): Promise<void>
}

interface FleetOptions {
  dir: string
  apps: App[]
  whatsappUrl?: string
  env?: Record<string, string>
  execArgv?: string[]
}

const connectMs = 90_000

export async function startProductFleet({ dir, apps, whatsappUrl, env: extra, execArgv }: FleetOptions): Promise<ProductFleet> {
  mkdirSync(dir, { recursive: true })
  const port = await freePort(20_000 + Math.floor(Math.random() * 20_000))
  const redis = await startBenchRedis(dir)
  const adminKey = `uj_admin_${randomBytes(32).toString('base64url')}`
  const env = {
    UJUMBE_DATA_DIR: dir,
    REDIS_URL: redis.url,
    HOST: '127.0.0.1',
    PORT: String(port),
    UJUMBE_ADMIN_KEY: adminKey,
    UJUMBE_WHATSAPP_URL: whatsappUrl ?? 'ws://127.0.0.1:9/ws/chat',
    UJUMBE_WORKER_CAPACITY: '1000',
    UJUMBE_SOCKET_OPENS_PER_SECOND: '200',
    UJUMBE_WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8',
    ...extra,
  }
  const config = loadConfig(env)
  const log = pino({ level: 'silent' })
  const store = await openStore(config, log)
  const vault = createCredentialVault({ credentials: store.credentials, keyRing: createKeyRing(config, log) })
  await requireRedis(config)
  const commands = connectRedis(config, 'worker', log)
  const children: { app: App; child: Child }[] = []
  const close = async () => {
    await Promise.all(children.map(({ child }) => child.stop()))
    await store.close()
    await closeRedis(commands)
    await redis.close()
  }
  try {
    for (const app of apps) {
      const script = join(projectRoot, 'workers', `${app}.ts`)
      children.push({ app, child: await startChild(script, { dir, env, ...(execArgv ? { execArgv } : {}) }) })
    }
  } catch (error) {
    await close()
    throw error
  }
  const sessionIds: string[] = []
  return {
    apiUrl: `http://127.0.0.1:${port}`,
    adminKey,
    redis,
    store,
    sessionIds,
    pids: (app) => [
      ...children.filter((each) => app === undefined || each.app === app).map(({ child }) => child.pid),
      ...(app === undefined ? [redis.pid] : []),
    ],
    addSessions: async (devices) => {
      const added: string[] = []
      for (const device of devices) added.push(await addSession({ store, vault }, device))
      sessionIds.push(...added)
      // As the API does when it is asked to connect one; a sweep would find them within half a minute.
      await offerSessions(commands, config.redisPrefix, added)
    },
    connected: async (count) => {
      await waitFor(
        `${count} sessions are connected`,
        async () => (await store.sessions.countByStatus()).connected >= count,
        connectMs,
        100,
      )
    },
    close,
  }
}

interface AddDeps {
  store: Store
  vault: ReturnType<typeof createCredentialVault>
}

/** As it stands after a pairing. Claimable last: a worker must not take it before its credentials are there. */
async function addSession({ store, vault }: AddDeps, device: LinkedDevice | null): Promise<string> {
  const id = newId('ses')
  const now = Date.now()
  const draft = newSession({ id, displayName: 'Bench', pairingPhoneNumber: null, settings: unpaced, metadata: {}, now })
  const paired = device && {
    status: 'connecting' as const,
    network: 'sandbox' as const,
    phoneNumber: device.phoneNumber,
    lid: device.lid,
  }
  const session = { ...draft, ...paired, claimable: false, epoch: 1 }
  const { record: key } = newKey({ sessionId: id, scopes, expiresAt: null, now })
  await store.sessions.create({ session, key, endpoint: null }, () => [])
  if (!device) return id
  await vault
    .forSession(id, 1)
    .write([
      { type: 'creds', id: '', value: Buffer.from(device.creds) },
      ...device.keys.map((each) => ({ type: each.type, id: each.id, value: Buffer.from(each.value) })),
    ])
  await store.sessions.request(id, 'connect', now)
  return id
}
