// Announces committed events: one delivery job per delivery, and a notice to those who read the log live, without making the caller wait.
import type { Log } from '../platform/log.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import type { DeliveryQueue } from './delivery-queue.ts'

export interface AnnounceDeps {
  deliveryQueue: DeliveryQueue
  log: Log
}

/**
 * Call it after the commit, with what the store returned. Never throws and never waits: the store holds the deliveries already,
 * and the retry tick finds those whose job did not come into being.
 */
export function announceEvents(deps: AnnounceDeps, published: readonly PublishedEvent[]): void {
  for (const { event, deliveries } of published) {
    deps.deliveryQueue.notice?.tell(event.sessionId)
    for (const { id, endpointId } of deliveries) {
      if (!deps.deliveryQueue.hasRoom) break
      deps.deliveryQueue.add(id, { endpointId, attempt: 0 }).catch((err: unknown) => {
        deps.log.debug({ err, deliveryId: id, endpointId }, 'webhook.enqueue_failed')
      })
    }
  }
}
