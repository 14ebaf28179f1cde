// The delivering half of a webhook worker: both queues' consumers over one pool of connections, one set of breakers and gates.
import type { Redis } from 'ioredis'
import type { Log } from '../platform/log.ts'
import { closeWorker } from '../platform/queue.ts'
import type { AttemptRecord, Postponement } from '../store/event-store.ts'
import type { Store } from '../store/store.ts'
import { BatchedWrites } from './batched-writes.ts'
import { BreakerStates, type BreakerSettings } from './breaker-state.ts'
import { answerTimeoutMs, deliverEvent } from './deliver-event.ts'
import { createDeadLetterWorker, DeadLetterQueue } from './dead-letter-queue.ts'
import {
  createDeliveryQueue,
  createDeliveryWorker,
  firstAttemptQueueName,
  replayQueueName,
  retryQueueName,
} from './delivery-queue.ts'
import { countOutcome } from './delivery-metrics.ts'
import { breakerDefaults, EndpointBreakers } from './endpoint-breaker.ts'
import { EndpointGates, gateDefaults, type GateSettings } from './endpoint-gate.ts'
import { EndpointHistory } from './endpoint-history.ts'
import { EndpointRooms } from './endpoint-room.ts'
import type { GuardPolicy } from './guard-url.ts'
import { createGuardedAgent } from './guarded-agent.ts'
import { ReadyEndpoints } from './ready-endpoints.ts'
import { redeliver } from './redeliver.ts'
import { retryDelaysMs } from './retry-schedule.ts'
import type { SecretBox } from './secret-box.ts'

type Job = Parameters<typeof deliverEvent>[1]

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
  replayGate: GateSettings
  /** Waits between attempts: `retryDelaysMs`. */
  retryDelaysMs: readonly number[]
}

/** A replay has little of an endpoint's attention, and none of the places that its new events have. */
const replayGate: GateSettings = { ...gateDefaults, maxInFlight: 2, maxWaitingEach: 20 }
export const deliveryDefaults: DeliverySettings = {
  answerTimeoutMs,
  breaker: breakerDefaults,
  gate: gateDefaults,
  replayGate,
  retryDelaysMs,
}
/** Places for jobs, not threads: nearly all of them wait for an answer. */
const firstAttemptConcurrency = 200
const retryConcurrency = 50
const replayConcurrency = 40
const deadLetterConcurrency = 5
/** Time to give back the jobs whose requests were cut. */
const cutMs = 1_500

export interface RunningDeliveries {
  /** Takes no more jobs and lets requests in flight finish; cuts them at the deadline, and their deliveries come back elsewhere. */
  close(deadlineMs: number): Promise<void>
}

export function runDeliveries(deps: DeliveryDeps, settings: DeliverySettings = deliveryDefaults): RunningDeliveries {
  const { store, redis, prefix, log } = deps
  const deliveryQueue = createDeliveryQueue(redis, prefix)
  const readyEndpoints = new ReadyEndpoints({ endpoints: store.endpoints, secretBox: deps.secretBox })
  const breakers = new EndpointBreakers({ states: new BreakerStates(redis, prefix), log }, settings.breaker)
  const replayLog = log.child({ queue: replayQueueName })
  const replayStates = new BreakerStates(redis, prefix, 'replay-breaker')
  const replayBreakers = new EndpointBreakers({ states: replayStates, log: replayLog }, settings.breaker)
  const rooms = new EndpointRooms(redis, prefix, log)
  const dispatcher = createGuardedAgent(deps.guardPolicy)
  const deadLetters = new DeadLetterQueue(redis, prefix, log)
  const deliverDeps = {
    deliveries: store.deliveries,
    attempts: new BatchedWrites((records: readonly AttemptRecord[]) => store.deliveries.recordAttempts(records)),
    postponements: new BatchedWrites((each: readonly Postponement[]) => store.deliveries.postpone(each)),
    events: store.events,
    readyEndpoints,
    breakers,
    gates: new EndpointGates(settings.gate),
    onFull: (endpointId: string, forMs: number) => rooms.markFull(endpointId, forMs),
    history: new EndpointHistory({ endpoints: store.endpoints, readyEndpoints, breakers, deliveryQueue, log }),
    dispatcher,
    deadLetters,
    retryDelaysMs: settings.retryDelaysMs,
    log,
    timeoutMs: settings.answerTimeoutMs,
  }
  // A replay that is slow, or refused, holds up nothing but itself. What holds up new events holds it up too.
  const replayDeps = {
    ...deliverDeps,
    breakers: {
      blockedUntil: async (endpointId: string) =>
        Math.max(await breakers.blockedUntil(endpointId), await replayBreakers.blockedUntil(endpointId)),
      run: replayBreakers.run.bind(replayBreakers),
    },
    gates: new EndpointGates(settings.replayGate),
    onFull: () => undefined,
    log: replayLog,
  }
  const workerDeps = { redis, prefix, log, deliver: async (job: Job) => countOutcome(deliverEvent(deliverDeps, job)) }
  const replayWorkerDeps = { ...workerDeps, deliver: async (job: Job) => countOutcome(deliverEvent(replayDeps, job)) }
  const again = async (deliveryId: string) => redeliver({ ...store, deliveryQueue, log }, deliveryId)
  const workers = [
    createDeliveryWorker(firstAttemptQueueName, workerDeps, firstAttemptConcurrency),
    createDeliveryWorker(retryQueueName, workerDeps, retryConcurrency),
    createDeliveryWorker(replayQueueName, replayWorkerDeps, replayConcurrency),
    createDeadLetterWorker({ redis, prefix, log, redeliver: again }, deadLetterConcurrency),
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
      replayBreakers.close()
      await deliveryQueue.close()
      await deadLetters.close()
    },
  }
}
