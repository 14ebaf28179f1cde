// Webhook endpoints of a session or, for an admin on the short path, of the fleet.
import { z } from 'zod'
import { AppError } from '../../platform/errors.ts'
import { findSession } from '../../sessions/edit-session.ts'
import type { EndpointRecord } from '../../store/event-store.ts'
import { readBreakers, switchBreaker } from '../../webhooks/breaker-state.ts'
import { createEndpoint, editEndpoint, rotateSecret } from '../../webhooks/create-endpoint.ts'
import { deliveryView } from '../../webhooks/delivery-view.ts'
import { endpointView, type EndpointView } from '../../webhooks/endpoint-view.ts'
import { found, withoutUndefined } from '../found.ts'
import type { HttpDeps } from '../http-deps.ts'
import { defineRoute, type Route } from '../route.ts'
import { idField, pageOf, pageQuery } from '../schemas/field-schemas.ts'
import {
  createdEndpointSchema,
  createEndpointBody,
  deliverySchema,
  editEndpointBody,
  endpointSchema,
  listDeliveriesQuery,
  testResultSchema,
} from '../schemas/webhook-schemas.ts'

const tag = 'Webhooks'
const maxEndpointsPerOwner = 100
const params = z.object({ webhookId: idField('whk') })
export const ofWebhooks = (rest: string) => ({
  path: `/v1/sessions/{sessionId}/webhooks${rest}`,
  shortPath: `/v1/webhooks${rest}`,
  tag,
  access: 'manage' as const,
  target: 'session-or-fleet' as const,
})

const of = ofWebhooks

export const webhookRoutes: Route[] = [
  defineRoute({
    id: 'createWebhook',
    method: 'post',
    ...of(''),
    summary: 'Add an endpoint',
    description: 'The signing secret is shown once. With an admin key on the short path it gets the events of all sessions.',
    body: createEndpointBody,
    answers: {
      201: { description: 'Added.', schema: createdEndpointSchema, headers: { Location: 'Where the endpoint is.' } },
    },
    errors: ['url_not_allowed', 'conflict'],
    async handle(deps, { sessionId, body }) {
      await requireOwner(deps, sessionId)
      const existing = await deps.store.endpoints.list({ sessionId, limit: maxEndpointsPerOwner })
      if (existing.data.length >= maxEndpointsPerOwner) {
        throw new AppError('conflict', `There are ${maxEndpointsPerOwner} endpoints already. Delete one first.`)
      }
      const { endpoint, secret } = await createEndpoint({ ...deps, endpoints: deps.store.endpoints }, { ...body, sessionId })
      return {
        status: 201,
        headers: { Location: `${sessionId === null ? '/v1' : `/v1/sessions/${sessionId}`}/webhooks/${endpoint.id}` },
        body: { ...(await viewOf(deps, endpoint)), secret },
      }
    },
  }),
  defineRoute({
    id: 'listWebhooks',
    method: 'get',
    ...of(''),
    summary: 'List endpoints',
    description: 'With an admin key on the short path: those of all sessions and of the fleet.',
    query: z.strictObject(pageQuery),
    answers: { 200: { description: 'A page.', schema: pageOf(endpointSchema) } },
    errors: [],
    async handle(deps, { sessionId, query }) {
      await requireOwner(deps, sessionId)
      const owner = sessionId === null ? {} : { sessionId }
      const page = await deps.store.endpoints.list({ ...owner, ...withoutUndefined(query) })
      const breakers = await readBreakers(
        deps.redis,
        deps.prefix,
        page.data.map(({ id }) => id),
      )
      const data = page.data.map((record, i) => endpointView(record, breakers[i]))
      return { status: 200, body: { data, nextCursor: page.nextCursor } }
    },
  }),
  defineRoute({
    id: 'getWebhook',
    method: 'get',
    ...of('/{webhookId}'),
    summary: 'Read an endpoint',
    params,
    answers: { 200: { description: 'The endpoint.', schema: endpointSchema } },
    errors: [],
    async handle(deps, { sessionId, params: { webhookId } }) {
      return { status: 200, body: await viewOf(deps, await findEndpoint(deps, sessionId, webhookId)) }
    },
  }),
  defineRoute({
    id: 'editWebhook',
    method: 'patch',
    ...of('/{webhookId}'),
    summary: 'Change an endpoint',
    description:
      '`headers` replaces all of them; `enabled: true` also forgets why it was disabled. A `url` of another origin needs `headers` too where the ' +
      'endpoint has some: their values are write-only, and are not sent to an address they were not given for.',
    params,
    body: editEndpointBody,
    answers: { 200: { description: 'As it is now.', schema: endpointSchema } },
    errors: ['url_not_allowed'],
    async handle(deps, { sessionId, params: { webhookId }, body }) {
      await findEndpoint(deps, sessionId, webhookId)
      const edited = await editEndpoint({ ...deps, endpoints: deps.store.endpoints }, webhookId, body)
      if (body.enabled !== undefined) await switchBreaker(deps, webhookId, body.enabled)
      return { status: 200, body: await viewOf(deps, found(edited)) }
    },
  }),
  defineRoute({
    id: 'deleteWebhook',
    method: 'delete',
    ...of('/{webhookId}'),
    summary: 'Remove an endpoint and its deliveries',
    params,
    answers: { 204: { description: 'Removed.' } },
    errors: [],
    async handle(deps, { sessionId, params: { webhookId } }) {
      await findEndpoint(deps, sessionId, webhookId)
      found((await deps.store.endpoints.remove(webhookId)) || null)
      await switchBreaker(deps, webhookId, false)
      return { status: 204 }
    },
  }),
  defineRoute({
    id: 'rotateWebhookSecret',
    method: 'post',
    ...of('/{webhookId}/rotate-secret'),
    summary: 'Renew the signing secret',
    description: 'For 24 hours deliveries carry the signatures of both.',
    params,
    body: z.strictObject({}),
    bodyOptional: true,
    answers: { 200: { description: 'Renewed.', schema: createdEndpointSchema } },
    errors: [],
    async handle(deps, { sessionId, params: { webhookId } }) {
      await findEndpoint(deps, sessionId, webhookId)
      const { endpoint, secret } = await rotateSecret({ ...deps, endpoints: deps.store.endpoints }, webhookId)
      return { status: 200, body: { ...(await viewOf(deps, endpoint)), secret } }
    },
  }),
  defineRoute({
    id: 'testWebhook',
    method: 'post',
    ...of('/{webhookId}/test'),
    summary: 'Send a test event and see what comes back',
    description: 'One signed request at once, of the type `webhook.test`; also to an endpoint that is disabled. It is not kept.',
    params,
    body: z.strictObject({}),
    bodyOptional: true,
    answers: { 200: { description: 'What came of it.', schema: testResultSchema } },
    errors: ['too_many_requests', 'shutting_down'],
    async handle(deps, { sessionId, params: { webhookId } }) {
      const endpoint = await findEndpoint(deps, sessionId, webhookId)
      return { status: 200, body: await deps.endpointTester.test(endpoint, await viewOf(deps, endpoint)) }
    },
  }),
  defineRoute({
    id: 'listDeliveries',
    method: 'get',
    ...of('/{webhookId}/deliveries'),
    summary: 'List deliveries, newest first',
    params,
    query: listDeliveriesQuery,
    answers: { 200: { description: 'A page.', schema: pageOf(deliverySchema) } },
    errors: [],
    async handle(deps, { sessionId, params: { webhookId }, query }) {
      await findEndpoint(deps, sessionId, webhookId)
      const page = await deps.store.deliveries.list({ endpointId: webhookId, ...withoutUndefined(query) })
      return { status: 200, body: { data: page.data.map(deliveryView), nextCursor: page.nextCursor } }
    },
  }),
]

async function viewOf({ redis, prefix }: HttpDeps, endpoint: EndpointRecord): Promise<EndpointView> {
  const [breaker] = await readBreakers(redis, prefix, [endpoint.id])
  return endpointView(endpoint, breaker)
}

/** Null is the whole fleet: an admin's. */
async function requireOwner(deps: HttpDeps, sessionId: string | null): Promise<void> {
  if (sessionId !== null) found(await findSession(deps.store, sessionId))
}

/** Under a session only its own; an admin on the short path reaches all. */
export async function findEndpoint(deps: HttpDeps, sessionId: string | null, webhookId: string): Promise<EndpointRecord> {
  await requireOwner(deps, sessionId)
  const endpoint = found(await deps.store.endpoints.get(webhookId))
  if (sessionId !== null && endpoint.sessionId !== sessionId) throw new AppError('not_found')
  return endpoint
}
