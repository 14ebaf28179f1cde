// Builds what one session worker needs — store, vault, Redis connections, WhatsApp client — and starts its part of the fleet.
import type { Config } from '../platform/config.ts'
import type { Log } from '../platform/log.ts'
import { SharedMetrics } from '../platform/metrics.ts'
import { closeRedis, connectRedis, requireRedis } from '../platform/redis.ts'
import { version } from '../platform/version.ts'
import { LinkPreviews } from '../messages/link-preview.ts'
import { retryContent } from '../messages/retry-content.ts'
import { SendQueues } from '../messages/send-queue.ts'
import { createCredentialVault } from '../store/credential-vault.ts'
import { createKeyRing } from '../store/key-ring.ts'
import { openStore } from '../store/open-store.ts'
import type { Store } from '../store/store.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import { createDeliveryQueue } from '../webhooks/delivery-queue.ts'
import { createGuardPolicy } from '../webhooks/guard-url.ts'
import { announceEvents } from '../webhooks/publish-event.ts'
import { createWhatsAppClient } from '../whatsapp/baileys-client.ts'
import type { ConnectDeps } from './connect-session.ts'
import { listenUntilDeath, readBootId } from './death-notice.ts'
import { Fleet } from './fleet.ts'
import { NetworkOutage } from './network-outage.ts'
import { createProxyOpener, type OpenProxy } from './proxy-route.ts'
import { hearOfReturn, tellOfReturn } from './share-network.ts'
import { SocketOpens } from './socket-opens.ts'
import { Watchdog } from './watchdog.ts'

const ackTimeoutMs = 20_000

export interface RunningFleet {
  readonly fleet: Fleet
  /** Hands all sessions over within about this time, then closes everything. */
  stop(handOverMs: number): Promise<void>
}

/** Resolves when the worker is known to the fleet. @throws AppError `configuration`, or what Redis and the store throw when they are away */
export async function startFleet(config: Config, log: Log): Promise<RunningFleet> {
  await requireRedis(config)
  const store = await openStore(config, log)
  const keyRing = createKeyRing(config, log)
  const vault = createCredentialVault({ credentials: store.credentials, keyRing })
  const policy = createGuardPolicy(config.webhookAllowedNetworks)
  const openProxy = createProxyOpener(keyRing, policy)
  const { redisPrefix: prefix, leaseTtlMs: ttlMs } = config
  // Leases and live state fail fast: a renewal that waits is worth nothing. BullMQ's commands wait until Redis is back.
  const redis = connectRedis(config, 'producer', log)
  const queueRedis = connectRedis(config, 'worker', log)
  const subscriber = connectRedis(config, 'subscriber', log)
  const queues = new SendQueues(queueRedis, prefix)
  const previews = new LinkPreviews({ policy })
  const deliveryQueue = createDeliveryQueue(queueRedis, prefix)
  const watchdog = new Watchdog({ log })
  const outage = new NetworkOutage({
    heldCount: () => fleet.load.held,
    onReturned: () => tellOfReturn({ redis, prefix, log }),
    log,
  })
  const fleet: Fleet = new Fleet({
    redis,
    subscriber,
    prefix,
    ttlMs,
    store,
    vault,
    announce: (published: PublishedEvent[]) => announceEvents({ deliveryQueue, log }, published),
    queues,
    previews,
    opens: new SocketOpens({ redis, prefix, perSecond: config.socketOpensPerSecond, log }),
    outage,
    watchdog,
    network: config.network,
    openProxy,
    openClient: clientOpener(config, store, openProxy, previews),
    fleetPerSecond: config.fleetMessagesPerSecond ?? null,
    ackTimeoutMs,
    hostId: config.hostId,
    bootId: await readBootId(),
    deathSocket: await listenUntilDeath(config.dataDir),
    capacity: config.workerCapacity,
    version,
    log,
  })
  await ready(redis)
  await hearOfReturn({ subscriber, prefix, log }, outage)
  await fleet.start()
  const metrics = new SharedMetrics({ redis, prefix, name: 'session-worker', hostId: config.hostId, log })
  return {
    fleet,
    async stop(handOverMs) {
      await fleet.stop(handOverMs)
      await metrics.close()
      watchdog.close()
      outage.close()
      queues.close()
      await previews.close()
      await deliveryQueue.close()
      await Promise.all([redis, queueRedis, subscriber].map((connection) => closeRedis(connection)))
      await store.close()
    },
  }
}

/** A connection that fails fast refuses commands until it stands. */
async function ready(redis: ReturnType<typeof connectRedis>): Promise<void> {
  if (redis.status === 'ready') return
  await new Promise<void>((resolve) => {
    redis.once('ready', () => resolve())
  })
}

function clientOpener(config: Config, store: Store, openProxy: OpenProxy, previews: LinkPreviews): ConnectDeps['openClient'] {
  return ({ record, lease, credentials, caches, log }, events) =>
    createWhatsAppClient(
      {
        credentials,
        caches,
        config: {
          whatsappUrl: config.whatsappUrl,
          whatsappVersion: config.whatsappVersion,
          markOnline: record.settings.markOnline,
        },
        mayWrite: () => lease.isTrusted(),
        openProxy: () => openProxy(record),
        getMessage: (whatsappId) => retryContent(store.messages, record.id, whatsappId, previews),
        hasInbound: async (whatsappId) => {
          const message = await store.messages.findByWhatsappId(record.id, whatsappId)
          return message?.direction === 'inbound'
        },
        log,
      },
      events,
    )
}
