// Replays of an endpoint: start one, look at them, stop one.
import { z } from 'zod'
import { replayView, startReplay } from '../../webhooks/replay.ts'
import { found, withoutUndefined } from '../found.ts'
import { defineRoute, type Route } from '../route.ts'
import { idField, pageOf, pageQuery } from '../schemas/field-schemas.ts'
import { replaySchema, startReplayBody } from '../schemas/webhook-schemas.ts'
import { findEndpoint, ofWebhooks as of } from './webhook-routes.ts'

const params = z.object({ webhookId: idField('whk') })

export const replayRoutes: Route[] = [
  defineRoute({
    id: 'startReplay',
    method: 'post',
    ...of('/{webhookId}/replay'),
    summary: 'Deliver past events once more',
    description:
      'Every event since then that the endpoint has subscribed to, with its own `webhook-id`, whether it was delivered before or not. ' +
      'Paced, in a queue of its own: new events do not wait for it. One replay per endpoint at a time.',
    params,
    body: startReplayBody,
    answers: { 202: { description: 'It has begun.', schema: replaySchema } },
    errors: ['endpoint_disabled', 'replay_running'],
    async handle(deps, { sessionId, params: { webhookId }, body }) {
      const endpoint = await findEndpoint(deps, sessionId, webhookId)
      return { status: 202, body: replayView(await startReplay(deps.store, endpoint, body)) }
    },
  }),
  defineRoute({
    id: 'listReplays',
    method: 'get',
    ...of('/{webhookId}/replays'),
    summary: 'List replays, newest first',
    params,
    query: z.strictObject(pageQuery),
    answers: { 200: { description: 'A page.', schema: pageOf(replaySchema) } },
    errors: [],
    async handle(deps, { sessionId, params: { webhookId }, query }) {
      await findEndpoint(deps, sessionId, webhookId)
      const page = await deps.store.replays.list({ endpointId: webhookId, ...withoutUndefined(query) })
      return { status: 200, body: { data: page.data.map(replayView), nextCursor: page.nextCursor } }
    },
  }),
  defineRoute({
    id: 'stopReplay',
    method: 'delete',
    ...of('/{webhookId}/replays/{replayId}'),
    summary: 'Stop a replay',
    description: 'Deliveries that it has made already are still sent.',
    params: params.extend({ replayId: idField('rpl') }),
    answers: { 200: { description: 'As it stands now.', schema: replaySchema } },
    errors: [],
    async handle(deps, { sessionId, params: { webhookId, replayId } }) {
      await findEndpoint(deps, sessionId, webhookId)
      return { status: 200, body: replayView(found(await deps.store.replays.stop(webhookId, replayId, Date.now()))) }
    },
  }),
]
