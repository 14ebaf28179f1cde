// Sessions: create, list, read, change, delete.
import { z } from 'zod'
import { createSession } from '../../sessions/create-session.ts'
import { editSession, findSession } from '../../sessions/edit-session.ts'
import { requestIntent } from '../../sessions/request-intent.ts'
import { sessionView } from '../../sessions/session-view.ts'
import { sessionStatuses, type SessionRecord } from '../../store/session-store.ts'
import { parsePhoneNumber } from '../../whatsapp/address.ts'
import { pageOf, pageQuery, textField } from '../schemas/field-schemas.ts'
import { createdSessionSchema, createSessionBody, editSessionBody, sessionSchema } from '../schemas/session-schemas.ts'
import { found, withoutUndefined } from '../found.ts'
import { defineRoute, sessionIdOf, type Route } from '../route.ts'

const tag = 'Sessions'

const intentSummaries = {
  connect: 'Connect, or begin to pair anew',
  disconnect: 'Disconnect; the pairing stays',
  logout: 'Log out at WhatsApp; it must be paired again',
}

const logoutDescription =
  'What has not left, scheduled messages too, ends as `failed` with `session_logged_out`; what is posted afterwards waits for the number that ' +
  'is paired next. A session that its phone removed keeps what waits, until another number is paired with it.'

export const sessionRoutes: Route[] = [
  defineRoute({
    id: 'createSession',
    method: 'post',
    path: '/v1/sessions',
    tag,
    summary: 'Create a session',
    description: 'It connects by itself and goes to `pairing`. The API key is shown once.',
    access: 'admin',
    target: 'none',
    body: createSessionBody,
    answers: {
      201: { description: 'Created.', schema: createdSessionSchema, headers: { Location: 'Where the session is.' } },
    },
    errors: ['url_not_allowed', 'redis_unavailable'],
    async handle(deps, { body }) {
      const created = await createSession(
        { ...deps, sessions: deps.store.sessions },
        {
          displayName: body.displayName,
          webhookUrl: body.webhookUrl ?? null,
          pairingPhoneNumber:
            body.pairingPhoneNumber === undefined ? null : parsePhoneNumber(body.pairingPhoneNumber, 'pairingPhoneNumber'),
          settings: withoutUndefined(body.settings ?? {}),
          metadata: body.metadata ?? {},
        },
      )
      const { session, apiKey, webhookSecret } = created
      return {
        status: 201,
        headers: { Location: `/v1/sessions/${session.id}` },
        body: { ...sessionView(session), apiKey, ...(webhookSecret === null ? {} : { webhookSecret }) },
      }
    },
  }),
  defineRoute({
    id: 'listSessions',
    method: 'get',
    path: '/v1/sessions',
    tag,
    summary: 'List sessions, newest first',
    description: 'A session key sees its own session only.',
    access: 'read',
    target: 'none',
    query: z.strictObject({
      ...pageQuery,
      status: z.enum(sessionStatuses).optional(),
      search: textField(100).optional().meta({ description: 'Part of the name or the number.' }),
    }),
    answers: { 200: { description: 'A page.', schema: pageOf(sessionSchema) } },
    errors: [],
    async handle(deps, { caller, query }) {
      if (caller?.kind === 'session') {
        const own = await findSession(deps.store, caller.sessionId)
        return { status: 200, body: { data: own && matches(own, query) ? [sessionView(own)] : [], nextCursor: null } }
      }
      const page = await deps.store.sessions.list(withoutUndefined(query))
      return { status: 200, body: { data: page.data.map(sessionView), nextCursor: page.nextCursor } }
    },
  }),
  defineRoute({
    id: 'getSession',
    method: 'get',
    path: '/v1/sessions/{sessionId}',
    tag,
    summary: 'Read a session',
    access: 'read',
    target: 'session',
    answers: { 200: { description: 'The session.', schema: sessionSchema } },
    errors: [],
    async handle(deps, request) {
      return { status: 200, body: sessionView(found(await findSession(deps.store, sessionIdOf(request)))) }
    },
  }),
  defineRoute({
    id: 'editSession',
    method: 'patch',
    path: '/v1/sessions/{sessionId}',
    tag,
    summary: 'Change a session',
    access: 'manage',
    target: 'session',
    body: editSessionBody,
    answers: { 200: { description: 'As it is now.', schema: sessionSchema } },
    errors: ['url_not_allowed', 'admin_only'],
    async handle(deps, request) {
      const { settings, ...rest } = request.body
      const edited = await editSession({ ...deps, sessions: deps.store.sessions }, sessionIdOf(request), {
        ...rest,
        settings: settings && withoutUndefined(settings),
        isAdmin: request.caller?.kind === 'admin',
      })
      return { status: 200, body: sessionView(found(edited)) }
    },
  }),
  defineRoute({
    id: 'deleteSession',
    method: 'delete',
    path: '/v1/sessions/{sessionId}',
    tag,
    summary: 'Delete a session',
    description:
      'It is logged out at WhatsApp when that can be reached; its credentials are erased in any case, and its messages, contacts, keys and endpoints. ' +
      'Its events stay in the log of the whole fleet for 7 days, for an admin and for fleet-wide endpoints.',
    access: 'admin',
    target: 'session',
    answers: { 204: { description: 'From now on it is not found.' } },
    errors: ['redis_unavailable'],
    async handle(deps, request) {
      found(await requestIntent({ ...deps, sessions: deps.store.sessions }, sessionIdOf(request), 'delete'))
      deps.authenticator.forgetKeys()
      return { status: 204 }
    },
  }),
  ...(['connect', 'disconnect', 'logout'] as const).map((intent) =>
    defineRoute({
      id: `${intent}Session`,
      method: 'post',
      path: `/v1/sessions/{sessionId}/${intent}`,
      tag,
      summary: intentSummaries[intent],
      ...(intent === 'logout' && { description: logoutDescription }),
      access: 'manage',
      target: 'session',
      body: z.strictObject({}),
      bodyOptional: true,
      answers: { 202: { description: 'Stored; the session follows.', schema: sessionSchema } },
      errors: ['redis_unavailable'],
      async handle(deps, request) {
        const session = await requestIntent({ ...deps, sessions: deps.store.sessions }, sessionIdOf(request), intent)
        return { status: 202, body: sessionView(found(session)) }
      },
    }),
  ),
]

function matches(session: SessionRecord, query: { status?: string | undefined; search?: string | undefined }): boolean {
  if (query.status !== undefined && session.status !== query.status) return false
  if (query.search === undefined) return true
  return `${session.displayName}\n${session.phoneNumber ?? ''}`.toLowerCase().includes(query.search.toLowerCase())
}
