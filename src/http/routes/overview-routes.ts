// All sessions at a glance, for those who look after the fleet.
import { z } from 'zod'
import { sessionView } from '../../sessions/session-view.ts'
import type { SessionRecord } from '../../store/session-store.ts'
import { withoutUndefined } from '../found.ts'
import { defineRoute, type Route } from '../route.ts'
import { pageOf, pageQuery } from '../schemas/field-schemas.ts'
import { sessionLineSchema } from '../schemas/session-schemas.ts'

export const overviewRoutes: Route[] = [
  defineRoute({
    id: 'listFleetSessions',
    method: 'get',
    path: '/v1/fleet/sessions',
    tag: 'Fleet',
    summary: 'All sessions at a glance, newest first',
    description: 'Of each its state, its health with what costs most points, and how much waits to be sent.',
    access: 'admin',
    target: 'none',
    query: z.strictObject(pageQuery),
    answers: { 200: { description: 'A page.', schema: pageOf(sessionLineSchema) } },
    errors: [],
    async handle({ store }, { query }) {
      const { data, nextCursor } = await store.sessions.list(withoutUndefined(query))
      const work = await store.health.work(
        data.map(({ id }) => id),
        Date.now(),
      )
      return { status: 200, body: { data: data.map((session) => line(session, work.get(session.id)?.depth ?? 0)), nextCursor } }
    },
  }),
]

function line(session: SessionRecord, queueDepth: number) {
  const { id, displayName, status, statusReason, phoneNumber, restriction, health, lastEventAt } = sessionView(session)
  return {
    id,
    displayName,
    status,
    ...(statusReason === undefined ? {} : { statusReason }),
    phoneNumber,
    ...(restriction === undefined ? {} : { restriction }),
    health,
    queueDepth,
    lastEventAt,
  }
}
