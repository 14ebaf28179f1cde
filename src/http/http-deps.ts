// What the routes work with; made once by the process and given to every handler.
import type { Redis } from 'ioredis'
import type { Log } from '../platform/log.ts'
import type { AcceptDeps } from '../messages/accept-message.ts'
import type { SessionForecasts } from '../messages/forecast-session.ts'
import type { SendQueues } from '../messages/send-queue.ts'
import type { Store } from '../store/store.ts'
import type { DeliveryQueue } from '../webhooks/delivery-queue.ts'
import type { EventStreams } from '../webhooks/event-streams.ts'
import type { GuardPolicy } from '../webhooks/guard-url.ts'
import type { SecretBox } from '../webhooks/secret-box.ts'
import type { EndpointTester } from '../webhooks/test-endpoint.ts'
import type { Authenticator } from './authenticate.ts'
import type { SessionCookies } from './session-cookie.ts'
import type { SignInLimiter } from './sign-in-limiter.ts'
import type { SignedOut } from './signed-out.ts'

export interface HttpDeps {
  store: Store
  /** A 'producer' connection: a command fails at once while Redis is away. */
  redis: Redis
  prefix: string
  log: Log
  authenticator: Authenticator
  cookies: SessionCookies
  signedOut: SignedOut
  signInLimiter: SignInLimiter
  secretBox: SecretBox
  guardPolicy: GuardPolicy
  deliveryQueue: DeliveryQueue
  eventStreams: EventStreams
  endpointTester: EndpointTester
  accept: AcceptDeps & { messages: Pick<Store['messages'], 'cancel'>; queues: Pick<SendQueues, 'removeAll'> }
  forecasts: SessionForecasts
  /** In Prometheus' text format. */
  metrics: { render(): Promise<string> }
  /** Aborts when the process begins to stop. */
  stopping: AbortSignal
}
