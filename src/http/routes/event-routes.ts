// The event log: page by page, and as a stream.
import { AppError } from '../../platform/errors.ts'
import { findSession } from '../../sessions/edit-session.ts'
import type { EventType } from '../../store/event-store.ts'
import { checkEvents } from '../../webhooks/endpoint.ts'
import { eventView } from '../../webhooks/event.ts'
import { readEvents, typesOf } from '../../webhooks/read-events.ts'
import { authorize } from '../authorize.ts'
import { found } from '../found.ts'
import type { HttpDeps } from '../http-deps.ts'
import { defineRoute, type Caller, type Route } from '../route.ts'
import { eventPageSchema, listEventsQuery, streamEventsQuery, streamHeaders } from '../schemas/event-schemas.ts'
import { streamEvents } from '../stream-events.ts'

const of = (rest: string) => ({
  method: 'get' as const,
  path: `/v1/sessions/{sessionId}/events${rest}`,
  shortPath: `/v1/events${rest}`,
  tag: 'Events',
  access: 'read' as const,
  target: 'session-or-fleet' as const,
})

export const eventRoutes: Route[] = [
  defineRoute({
    id: 'listEvents',
    ...of(''),
    summary: 'Read the event log, oldest first',
    description:
      'Kept for 7 days. Go on with `after` = `nextCursor`. A reader that has fallen behind gets `cursor_expired` with the `oldestCursor` ' +
      'to go on from. With an admin key on the short path: the events of all sessions.',
    query: listEventsQuery,
    answers: { 200: { description: 'A page.', schema: eventPageSchema } },
    errors: ['cursor_expired'],
    async handle(deps, { sessionId, caller, query }) {
      await requireSession(deps, sessionId)
      const types = readableTypes(caller, query.types)
      const page = await readEvents(deps.store.events, { sessionId, after: query.after, limit: query.limit, types })
      return { status: 200, body: { data: page.events.map(eventView), nextCursor: page.next, hasMore: page.hasMore } }
    },
  }),
  defineRoute({
    id: 'streamEvents',
    ...of('/stream'),
    summary: 'Follow the event log as server-sent events',
    description:
      'Each message has the event as `data` and its place as `id`, which goes back as `Last-Event-ID` (or `after`): nothing is missed ' +
      'over reconnects. A line every 15 s when nothing happens. A reader that takes nothing for 10 s is cut off.',
    query: streamEventsQuery,
    headers: streamHeaders,
    answers: { 200: { description: 'The stream.', alsoAs: ['text/event-stream'] } },
    errors: ['cursor_expired', 'too_many_requests', 'shutting_down'],
    async handle(deps, { sessionId, caller, query, headers, untilGone }) {
      const signal = untilGone()
      if (deps.stopping.aborted) throw new AppError('shutting_down')
      await requireSession(deps, sessionId)
      const types = readableTypes(caller, query.types)
      const { events } = deps.store
      const after = lastEventId(headers['last-event-id']) ?? query.after
      const place = after ?? (await events.newestPlace(sessionId ?? undefined))
      await readEvents(events, { sessionId, after: place, types, limit: 1 }) // a place that is none is refused before the stream begins
      const check = async () => {
        const now = await deps.authenticator.identify('GET', headers)
        authorize({ access: 'read', target: 'session-or-fleet' }, now, sessionId ?? undefined)
        await requireSession(deps, sessionId)
      }
      const stream = deps.eventStreams.open(sessionId, caller?.kind === 'admin')
      return {
        status: 200,
        stream: async (res) => {
          const { settings } = deps.eventStreams
          try {
            if (res.req.method === 'HEAD') res.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' }).end()
            else await streamEvents({ events, settings, log: deps.log, check }, { sessionId, place, types, signal }, stream, res)
          } finally {
            stream.close()
          }
        },
      }
    },
  }),
]

async function requireSession(deps: HttpDeps, sessionId: string | null): Promise<void> {
  if (sessionId !== null) found(await findSession(deps.store, sessionId))
}

/** What tells of endpoints, and so of their addresses, is for keys that may see endpoints. */
function readableTypes(caller: Caller | null, wanted: readonly string[] | undefined): EventType[] | null {
  const asked = wanted === undefined ? ['*'] : checkEvents(wanted, 'types')
  const seesEndpoints = caller?.kind === 'admin' || caller?.scopes.includes('manage') === true
  return typesOf(asked, seesEndpoints ? ['*'] : ['message.*', 'session.*', 'session.qr', 'session.pairing_code'])
}

/** @throws AppError `invalid_request` */
function lastEventId(given: string | string[] | undefined): string | undefined {
  if (given === undefined || given === '') return undefined
  const parsed = streamHeaders.safeParse({ 'Last-Event-ID': given })
  if (parsed.success) return parsed.data['Last-Event-ID']
  throw new AppError('invalid_request', undefined, { errors: [{ path: 'Last-Event-ID', message: 'is not a place of this log' }] })
}
