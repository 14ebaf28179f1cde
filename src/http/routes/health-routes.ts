// The health of a session: its score, why, and how it came to it.
import { readHealth } from '../../health/read-health.ts'
import { findSession } from '../../sessions/edit-session.ts'
import { found } from '../found.ts'
import { defineRoute, sessionIdOf, type Route } from '../route.ts'
import { healthQuery, healthSchema } from '../schemas/health-schemas.ts'

export const healthRoutes: Route[] = [
  defineRoute({
    id: 'getHealth',
    method: 'get',
    path: '/v1/sessions/{sessionId}/health',
    shortPath: '/v1/health',
    tag: 'Health',
    summary: 'Health score of a session, with its reasons',
    description: 'Scored when you ask. Every point that is lost is named in `reasons`.',
    access: 'read',
    target: 'session',
    query: healthQuery,
    answers: { 200: { description: 'How it is.', schema: healthSchema } },
    errors: ['redis_unavailable'],
    async handle(deps, request) {
      const session = found(await findSession(deps.store, sessionIdOf(request)))
      return { status: 200, body: await readHealth(deps, session, request.query.window) }
    },
  }),
]
