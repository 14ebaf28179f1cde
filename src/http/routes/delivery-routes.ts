// Single deliveries: read one, or have its event delivered once more.
import { z } from 'zod'
import type { DeliveryRecord } from '../../store/event-store.ts'
import { deliveryView } from '../../webhooks/delivery-view.ts'
import { redeliver } from '../../webhooks/redeliver.ts'
import { found } from '../found.ts'
import type { HttpDeps } from '../http-deps.ts'
import { defineRoute, type Route } from '../route.ts'
import { idField } from '../schemas/field-schemas.ts'
import { deliverySchema } from '../schemas/webhook-schemas.ts'
import { findEndpoint } from './webhook-routes.ts'

const params = z.object({ deliveryId: idField('dlv') })
const of = (rest: string) => ({
  path: `/v1/sessions/{sessionId}/deliveries/{deliveryId}${rest}`,
  shortPath: `/v1/deliveries/{deliveryId}${rest}`,
  tag: 'Webhooks',
  access: 'manage' as const,
  target: 'session-or-fleet' as const,
})

export const deliveryRoutes: Route[] = [
  defineRoute({
    id: 'getDelivery',
    method: 'get',
    ...of(''),
    summary: 'Read a delivery with its attempts',
    params,
    answers: { 200: { description: 'The delivery.', schema: deliverySchema } },
    errors: [],
    async handle(deps, { sessionId, params: { deliveryId } }) {
      return { status: 200, body: deliveryView(await findDelivery(deps, sessionId, deliveryId)) }
    },
  }),
  defineRoute({
    id: 'redeliver',
    method: 'post',
    ...of('/redeliver'),
    summary: 'Deliver its event once more',
    description:
      'Makes a new delivery with the same `webhook-id`. One that is still being tried ends with it, as `dead` with the reason `redelivered`.',
    params,
    body: z.strictObject({}),
    bodyOptional: true,
    answers: {
      202: { description: 'The new delivery.', schema: deliverySchema, headers: { Location: 'Where the new delivery is.' } },
    },
    errors: ['endpoint_disabled', 'event_expired'],
    async handle(deps, { sessionId, params: { deliveryId } }) {
      await findDelivery(deps, sessionId, deliveryId)
      const delivery = await redeliver({ ...deps.store, deliveryQueue: deps.deliveryQueue, log: deps.log }, deliveryId)
      return { status: 202, headers: { Location: `/v1/deliveries/${delivery.id}` }, body: deliveryView(delivery) }
    },
  }),
]

/** A session's are those of its own endpoints: what fleet-wide ones get of it is the admin's. */
async function findDelivery(deps: HttpDeps, sessionId: string | null, deliveryId: string): Promise<DeliveryRecord> {
  const delivery = found(await deps.store.deliveries.get(deliveryId))
  await findEndpoint(deps, sessionId, delivery.endpointId)
  return delivery
}
