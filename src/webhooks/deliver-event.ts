// One attempt to deliver an event to an endpoint: may it be made now, sign and post it, record what came of it.
import type { Dispatcher } from 'undici'
import type { Log } from '../platform/log.ts'
import { version } from '../platform/version.ts'
import type { AttemptRecord, DeliveryRecord, DeliveryStore, EventRecord, EventStore, Postponement } from '../store/event-store.ts'
import type { BatchedWrites } from './batched-writes.ts'
import { attemptSeconds, delaySeconds } from './delivery-metrics.ts'
import type { DeadLetterQueue } from './dead-letter-queue.ts'
import { isReservedHeader } from './endpoint.ts'
import type { EndpointBreakers } from './endpoint-breaker.ts'
import { maxLineMs, type EndpointGates } from './endpoint-gate.ts'
import type { EndpointHistory } from './endpoint-history.ts'
import { eventBody } from './event.ts'
import { isReceiverFailure, isSuccess, postWebhook, type AttemptResult } from './post-webhook.ts'
import type { ReadyEndpoint, ReadyEndpoints } from './ready-endpoints.ts'
import { nextStep } from './retry-schedule.ts'
import { signWebhook } from './sign.ts'

export interface DeliverDeps {
  deliveries: Pick<DeliveryStore, 'get' | 'bury'>
  attempts: BatchedWrites<AttemptRecord>
  postponements: BatchedWrites<Postponement>
  events: Pick<EventStore, 'get'>
  readyEndpoints: ReadyEndpoints
  breakers: Pick<EndpointBreakers, 'blockedUntil' | 'run'>
  gates: EndpointGates
  /** Its line is full; it will have room for more after that time. */
  onFull(endpointId: string, forMs: number): void
  history: EndpointHistory
  dispatcher: Dispatcher
  /** What is given up shows there. */
  deadLetters: Pick<DeadLetterQueue, 'add'>
  retryDelaysMs: readonly number[]
  log: Log
  /** For the whole answer. */
  timeoutMs: number
}

interface DeliverInput {
  deliveryId: string
  endpointId: string
  /** Attempts made before. */
  attempt: number
}

export type DeliverOutcome =
  /** `discarded`: the endpoint is gone or disabled, and the delivery ends with it. */
  | { outcome: 'discarded' }
  /** `postponed`: no attempt was made, and the delivery waits in the store; the retry tick brings it back. */
  | { outcome: 'succeeded' | 'failed' | 'dead' | 'dropped' | 'postponed' }
  /** No attempt was made; come back then. */
  | { outcome: 'deferred'; until: number }

export const answerTimeoutMs = 15_000

/** At least once: what was posted but not recorded is posted again, with the same `webhook-id`. */
export async function deliverEvent(deps: DeliverDeps, job: DeliverInput): Promise<DeliverOutcome> {
  const { deliveryId, endpointId } = job
  const endpoint = await deps.readyEndpoints.get(endpointId)
  if (!endpoint?.record.enabled) {
    const reason = endpoint ? 'endpoint_disabled' : 'endpoint_deleted'
    await deps.deliveries.bury([deliveryId], reason, Date.now())
    if (endpoint) deps.deadLetters.add(deliveryId, { endpointId, reason })
    return { outcome: 'discarded' }
  }
  const blockedUntil = await deps.breakers.blockedUntil(endpointId)
  if (blockedUntil > 0) return postpone(deps, job, blockedUntil)

  const leave = await deps.gates.enter(endpointId)
  if (leave === null) {
    deps.onFull(endpointId, maxLineMs / 2)
    return postpone(deps, job, Date.now() + maxLineMs)
  }
  if (typeof leave === 'number') return { outcome: 'deferred', until: leave }
  let attempt: Awaited<ReturnType<typeof attemptDelivery>>
  try {
    attempt = await attemptDelivery(deps, endpoint, job)
  } finally {
    leave() // the endpoint is free while the outcome is written
  }
  return 'result' in attempt ? record(deps, endpoint, attempt.delivery, attempt.result) : attempt
}

async function attemptDelivery(
  deps: DeliverDeps,
  endpoint: ReadyEndpoint,
  job: DeliverInput,
): Promise<DeliverOutcome | { delivery: DeliveryRecord; result: AttemptResult }> {
  const delivery = await deps.deliveries.get(job.deliveryId)
  if (!delivery || !fits(delivery, job.attempt)) return { outcome: 'dropped' }
  const event = await deps.events.get(delivery.eventId)
  if (!event) {
    await deps.deliveries.bury([delivery.id], 'event_expired', Date.now())
    deps.deadLetters.add(delivery.id, { endpointId: job.endpointId, reason: 'event_expired' })
    return { outcome: 'dead' }
  }
  const run = await deps.breakers.run(job.endpointId, () => post(deps, endpoint, event), isReceiverFailure)
  if (run.ran) return { delivery, result: run.result }
  return postpone(deps, job, run.until)
}

/** What waits for its receiver waits in the store: Redis would hold a kilobyte of each for as long as that takes. */
async function postpone(deps: DeliverDeps, job: DeliverInput, nextAttemptAt: number): Promise<DeliverOutcome> {
  await deps.postponements.add({ deliveryId: job.deliveryId, attemptCount: job.attempt, nextAttemptAt })
  return { outcome: 'postponed' }
}

/** A job that ran already, or whose delivery went on without it, sends nothing. */
function fits(delivery: DeliveryRecord, attemptCount: number): boolean {
  return (delivery.status === 'pending' || delivery.status === 'failed') && delivery.attemptCount === attemptCount
}

async function post(deps: DeliverDeps, endpoint: ReadyEndpoint, event: EventRecord): Promise<AttemptResult> {
  const body = eventBody(event)
  return postWebhook(
    deps.dispatcher,
    { url: endpoint.url, headers: signedHeaders(endpoint, event.id, body), body },
    deps.timeoutMs,
  )
}

/** The endpoint's own headers and ours; ours win. */
export function signedHeaders(
  endpoint: Pick<ReadyEndpoint, 'headers' | 'signingKeys'>,
  id: string,
  body: string,
): Record<string, string> {
  const timestampSeconds = Math.floor(Date.now() / 1_000)
  const own = Object.entries(endpoint.headers).filter(([name]) => !isReservedHeader(name))
  return {
    ...Object.fromEntries(own),
    'content-type': 'application/json',
    'user-agent': `Ujumbe/${version}`,
    'webhook-id': id,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': signWebhook({ keys: endpoint.signingKeys, id, timestampSeconds, body }),
  }
}

async function record(
  deps: DeliverDeps,
  endpoint: ReadyEndpoint,
  delivery: DeliveryRecord,
  result: AttemptResult,
): Promise<DeliverOutcome> {
  const now = Date.now()
  const { at, status, durationMs, error, answer } = result
  const succeeded = isSuccess(result)
  const isGone = status === 410 && error === null
  const next = succeeded
    ? { status: 'succeeded' as const, nextAttemptAt: null }
    : isGone
      ? { status: 'dead' as const, nextAttemptAt: null, deadReason: 'endpoint_gone' }
      : nextStep(delivery.attemptCount + 1, result.retryAfterMs, now, Math.random, deps.retryDelaysMs)
  await deps.attempts.add({ deliveryId: delivery.id, attempt: { at, status, durationMs, error, answer }, next })
  attemptSeconds.observe({ outcome: next.status }, durationMs / 1_000)
  if (succeeded) delaySeconds.observe(Math.max(0, now - delivery.createdAt) / 1_000)
  deps.log.debug(
    {
      deliveryId: delivery.id,
      endpointId: delivery.endpointId,
      sessionId: delivery.sessionId,
      attempt: delivery.attemptCount + 1,
      outcome: next.status,
      status,
      code: error,
      durationMs,
    },
    'webhook.attempted',
  )
  if (next.status === 'dead') deps.deadLetters.add(delivery.id, { endpointId: delivery.endpointId, reason: next.deadReason })
  if (isGone) await deps.history.disable(delivery.endpointId, delivery.sessionId, 'gone', now)
  else if (succeeded) await deps.history.succeeded(endpoint.record, now)
  else await deps.history.failed(endpoint.record, delivery.sessionId, now)
  return { outcome: next.status }
}
