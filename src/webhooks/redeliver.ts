// Delivers an event to its endpoint once more, because a person asked for it.
import { AppError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { firstAttemptGraceMs, type DeliveryRecord, type DeliveryStore } from '../store/event-store.ts'
import type { Store } from '../store/store.ts'
import type { DeliveryQueue } from './delivery-queue.ts'

interface RedeliverDeps {
  deliveries: Pick<DeliveryStore, 'get' | 'create' | 'bury'>
  events: Pick<Store['events'], 'get'>
  endpoints: Pick<Store['endpoints'], 'get'>
  deliveryQueue: DeliveryQueue
  log: Log
}

/**
 * A new delivery with its own attempts, in the queue of first attempts. One that is still being tried ends with it: the new one takes its
 * place, so that the receiver does not get both.
 * @throws AppError `not_found`, `endpoint_disabled`, `event_expired`
 */
export async function redeliver(deps: RedeliverDeps, deliveryId: string): Promise<DeliveryRecord> {
  const former = await deps.deliveries.get(deliveryId)
  const endpoint = former && (await deps.endpoints.get(former.endpointId))
  if (!former || !endpoint) throw new AppError('not_found')
  if (!endpoint.enabled) throw new AppError('endpoint_disabled')
  if (!(await deps.events.get(former.eventId))) throw new AppError('event_expired')
  const { eventId, endpointId, sessionId, eventType } = former
  const nextAttemptAt = Date.now() + firstAttemptGraceMs
  const [delivery] = await deps.deliveries.create([{ eventId, endpointId, sessionId, eventType, nextAttemptAt }])
  if (!delivery) throw new AppError('not_found')
  await deps.deliveries.bury([former.id], 'redelivered', Date.now())
  // When this fails the retry tick finds it.
  deps.deliveryQueue.add(delivery.id, { endpointId, attempt: 0 }).catch((err: unknown) => {
    deps.log.debug({ err, deliveryId: delivery.id, endpointId }, 'webhook.enqueue_failed')
  })
  return delivery
}
