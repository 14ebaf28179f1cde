// Puts together what the routes work with, from the store, a Redis connection and the configuration.
import type { Redis } from 'ioredis'
import { SessionForecasts } from '../messages/forecast-session.ts'
import { SendQueues } from '../messages/send-queue.ts'
import type { Config } from '../platform/config.ts'
import type { Log } from '../platform/log.ts'
import { RememberedSessions } from '../sessions/remembered-sessions.ts'
import type { Store } from '../store/store.ts'
import { createDeliveryQueue } from '../webhooks/delivery-queue.ts'
import { EventStreams, type StreamSettings } from '../webhooks/event-streams.ts'
import { createGuardPolicy } from '../webhooks/guard-url.ts'
import { announceEvents } from '../webhooks/publish-event.ts'
import type { SecretBox } from '../webhooks/secret-box.ts'
import { EndpointTester } from '../webhooks/test-endpoint.ts'
import { Authenticator } from './authenticate.ts'
import type { HttpDeps } from './http-deps.ts'
import { createMetrics } from './metrics.ts'
import { SessionCookies } from './session-cookie.ts'
import { SignInLimiter } from './sign-in-limiter.ts'
import { SignedOut } from './signed-out.ts'
import { addWebhookMetrics } from './webhook-metrics.ts'

interface DepsInput {
  config: Pick<Config, 'redisPrefix' | 'webhookAllowedNetworks'> & Partial<Pick<Config, 'fleetMessagesPerSecond' | 'hostId'>>
  store: Store
  /** A 'producer' connection. */
  redis: Redis
  secretBox: SecretBox
  adminKey: string
  log: Log
  stopping: AbortSignal
  /** The defaults, unless a test is in a hurry. */
  streams?: StreamSettings
}

export function createHttpDeps(input: DepsInput): HttpDeps & { close(): Promise<void> } {
  const { config, redis, secretBox, adminKey, log, stopping } = input
  const remembered = new RememberedSessions(input.store.sessions)
  const store: Store = { ...input.store, sessions: remembered.store }
  const prefix = config.redisPrefix
  const deliveryQueue = createDeliveryQueue(redis, prefix)
  const queues = new SendQueues(redis, prefix)
  const guardPolicy = createGuardPolicy(config.webhookAllowedNetworks)
  const eventStreams = new EventStreams({ redis, prefix, log }, input.streams)
  const endpointTester = new EndpointTester({ secretBox, guardPolicy })
  const cookies = new SessionCookies(adminKey)
  const signedOut = new SignedOut({ redis, prefix, log })
  const { hostId } = config
  const metrics = createMetrics({ store, redis, prefix, log, ...(hostId === undefined ? {} : { hostId }) })
  addWebhookMetrics(metrics.registry, { redis, prefix, log })
  return {
    store,
    redis,
    prefix,
    log,
    authenticator: new Authenticator({ keys: store.keys, adminKey, cookies, signedOut }),
    cookies,
    signedOut,
    signInLimiter: new SignInLimiter(),
    secretBox,
    guardPolicy,
    deliveryQueue,
    eventStreams,
    endpointTester,
    accept: {
      sessions: remembered,
      messages: store.messages,
      queues,
      redis,
      prefix,
      announce: (published) => announceEvents({ deliveryQueue, log }, published),
      log,
    },
    forecasts: new SessionForecasts({
      messages: store.messages,
      redis,
      prefix,
      fleetPerSecond: config.fleetMessagesPerSecond ?? null,
      log,
    }),
    metrics,
    stopping,
    close: async () => {
      await metrics.close()
      queues.close()
      await deliveryQueue.close()
      await eventStreams.close()
      await endpointTester.close()
    },
  }
}
