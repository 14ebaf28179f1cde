// Keys of a session: make, list, renew, delete. A key is shown once.
import { z } from 'zod'
import { AppError } from '../../platform/errors.ts'
import { findSession } from '../../sessions/edit-session.ts'
import { issueKey, keyView, rotateKey, type Grantor } from '../../sessions/issue-key.ts'
import { found, withoutUndefined } from '../found.ts'
import { defineRoute, sessionIdOf, type Caller, type Route } from '../route.ts'
import { idField, pageOf, pageQuery } from '../schemas/field-schemas.ts'
import { createKeyBody, issuedKeySchema, keySchema } from '../schemas/session-schemas.ts'

const tag = 'Keys'
const base = '/v1/sessions/{sessionId}/keys'
const params = z.object({ keyId: idField('key') })

export const keyRoutes: Route[] = [
  defineRoute({
    id: 'createKey',
    method: 'post',
    path: base,
    tag,
    summary: 'Make a key',
    description: 'It grants no more, and for no longer, than the key of this request. Shown once.',
    access: 'manage',
    target: 'session',
    body: createKeyBody,
    answers: { 201: { description: 'Made.', schema: issuedKeySchema } },
    errors: ['conflict'],
    async handle(deps, request) {
      const sessionId = sessionIdOf(request)
      found(await findSession(deps.store, sessionId))
      const { scopes, expiresAt = null } = request.body
      const { key, record } = await issueKey(deps.store, grantorOf(request.caller), { sessionId, scopes, expiresAt })
      return { status: 201, body: { ...keyView(record), key } }
    },
  }),
  defineRoute({
    id: 'listKeys',
    method: 'get',
    path: base,
    tag,
    summary: 'List keys, newest first',
    access: 'manage',
    target: 'session',
    query: z.strictObject(pageQuery),
    answers: { 200: { description: 'A page.', schema: pageOf(keySchema) } },
    errors: [],
    async handle(deps, request) {
      const sessionId = sessionIdOf(request)
      found(await findSession(deps.store, sessionId))
      const page = await deps.store.keys.list({ sessionId, ...withoutUndefined(request.query) })
      return { status: 200, body: { data: page.data.map(keyView), nextCursor: page.nextCursor } }
    },
  }),
  defineRoute({
    id: 'deleteKey',
    method: 'delete',
    path: `${base}/{keyId}`,
    tag,
    summary: 'Delete a key',
    access: 'manage',
    target: 'session',
    params,
    answers: { 204: { description: 'It works no longer.' } },
    errors: ['last_key'],
    async handle(deps, request) {
      const sessionId = sessionIdOf(request)
      const { keyId } = request.params
      found(await findSession(deps.store, sessionId))
      if (request.caller?.kind === 'session' && request.caller.keyId === keyId) throw new AppError('last_key')
      found((await deps.store.keys.remove(sessionId, keyId)) || null)
      deps.authenticator.forgetKeys()
      return { status: 204 }
    },
  }),
  defineRoute({
    id: 'rotateKey',
    method: 'post',
    path: `${base}/{keyId}/rotate`,
    tag,
    summary: 'Renew a key',
    description: 'Same id and scopes, new secret. The old one works no longer.',
    access: 'manage',
    target: 'session',
    params,
    body: z.strictObject({}),
    bodyOptional: true,
    answers: { 200: { description: 'Renewed.', schema: issuedKeySchema } },
    errors: [],
    async handle(deps, request) {
      const sessionId = sessionIdOf(request)
      found(await findSession(deps.store, sessionId))
      const rotated = await rotateKey(deps.store, grantorOf(request.caller), sessionId, request.params.keyId)
      const { key, record } = found(rotated)
      deps.authenticator.forgetKeys()
      return { status: 200, body: { ...keyView(record), key } }
    },
  }),
]

function grantorOf(caller: Caller | null): Grantor {
  return caller?.kind === 'session' ? { scopes: caller.scopes, expiresAt: caller.expiresAt } : null
}
