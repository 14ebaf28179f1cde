// The delivering half of a webhook worker: both queues' consumers over one pool of connections, one set of breakers and gates.
import type { Redis } from 'ioredis'
import type { Log } from '../platform/log.ts'
import { closeWorker } from '../platform/queue.ts'
import type { Store } from '../store/store.ts'
import { BreakerStates, type BreakerSettings } from './breaker-state.ts'
import { answerTimeoutMs, deliverEvent } from './deliver-event.ts'
import { createDeliveryQueue, createDeliveryWorker, firstAttemptQueueName, retryQueueName } from './delivery-queue.ts'
import { breakerDefaults, EndpointBreakers } from './endpoint-breaker.ts'
import { EndpointGates, gateDefaults, type GateSettings } from './endpoint-gate.ts'
import { EndpointHistory } from './endpoint-history.ts'
import type { GuardPolicy } from './guard-url.ts'
import { createGuardedAgent } from './guarded-agent.ts'
import { ReadyEndpoints } from './ready-endpoints.ts'
import type { SecretBox } from './secret-box.ts'

interface DeliveryDeps {
  store: Pick<Store, 'deliveries' | 'events' | 'endpoints'>
  /** Of role 'worker'. */
  redis: Redis
  prefix: string
  secretBox: SecretBox
  guardPolicy: GuardPolicy
  log: Log
}

export interface DeliverySettings {
  answerTimeoutMs: number
  breaker: BreakerSettings
  gate: GateSettings
}

const defaults: DeliverySettings = { answerTimeoutMs, breaker: breakerDefaults, gate: gateDefaults }
/** Places for jobs, not threads: nearly all of them wait for an answer. */
const firstAttemptConcurrency = 200
const retryConcurrency = 50
/** Time to give back the jobs whose requests were cut. */
const cutMs = 1_500

export interface RunningDeliveries {
  /** Takes no more jobs and lets requests in flight finish; cuts them at the deadline, and their deliveries come back elsewhere. */
  close(deadlineMs: number): Promise<void>
}

export function runDeliveries(deps: DeliveryDeps, settings: DeliverySettings = defaults): RunningDeliveries {
  const { store, redis, prefix, log } = deps
  const deliveryQueue = createDeliveryQueue(redis, prefix)
  const readyEndpoints = new ReadyEndpoints({ endpoints: store.endpoints, secretBox: deps.secretBox })
  const breakers = new EndpointBreakers({ states: new BreakerStates(redis, prefix), log }, settings.breaker)
  const dispatcher = createGuardedAgent(deps.guardPolicy)
  const deliverDeps = {
    deliveries: store.deliveries,
    events: store.events,
    readyEndpoints,
    breakers,
    gates: new EndpointGates(settings.gate),
    history: new EndpointHistory({ endpoints: store.endpoints, readyEndpoints, deliveryQueue, log }),
    dispatcher,
    log,
    timeoutMs: settings.answerTimeoutMs,
  }
  const workerDeps = {
    redis,
    prefix,
    log,
    deliver: async (job: Parameters<typeof deliverEvent>[1]) => deliverEvent(deliverDeps, job),
  }
  const workers = [
    createDeliveryWorker(firstAttemptQueueName, workerDeps, firstAttemptConcurrency),
    createDeliveryWorker(retryQueueName, workerDeps, retryConcurrency),
  ]
  for (const worker of workers) {
    worker.run().catch((err: unknown) => log.error({ err, queue: worker.name }, 'webhook.worker_failed'))
  }
  return {
    close: async (deadlineMs) => {
      const cut = setTimeout(() => void dispatcher.destroy().catch(() => undefined), deadlineMs)
      await Promise.all(workers.map(async (worker) => closeWorker(worker, deadlineMs + cutMs)))
      clearTimeout(cut)
      await dispatcher.destroy()
      breakers.close()
      await deliveryQueue.close()
    },
  }
}
