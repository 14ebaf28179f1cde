// Messages: accept, read, list; and which numbers are on WhatsApp.
import { z } from 'zod'
import { acceptMessage } from '../../messages/accept-message.ts'
import type { MessageRequest } from '../../messages/message.ts'
import { messageView } from '../../messages/message-view.ts'
import { AppError } from '../../platform/errors.ts'
import { findSession } from '../../sessions/edit-session.ts'
import { callSession } from '../../sessions/session-command.ts'
import { parseAddress, parsePhoneNumber } from '../../whatsapp/address.ts'
import { found, withoutUndefined } from '../found.ts'
import { checkMessage } from '../not-yet-supported.ts'
import { invalidRequest } from '../problem.ts'
import { defineRoute, sessionIdOf, type Route } from '../route.ts'
import { idField, pageOf } from '../schemas/field-schemas.ts'
import {
  batchBody,
  checkContactsBody,
  checkedContactsSchema,
  listMessagesQuery,
  messageSchema,
  sendHeaders,
  sendMessageBody,
  type SendMessageBody,
} from '../schemas/message-schemas.ts'

const tag = 'Messages'
const params = z.object({ messageId: idField('msg') })
const paths = (rest: string) => ({ path: `/v1/sessions/{sessionId}${rest}`, shortPath: `/v1${rest}` })

export const messageRoutes: Route[] = [
  defineRoute({
    id: 'sendMessage',
    method: 'post',
    ...paths('/messages'),
    tag,
    summary: 'Send a message',
    description: 'It is stored, queued, and sent in order. Retry with the same Idempotency-Key as often as you like.',
    access: 'send',
    target: 'session',
    headers: sendHeaders,
    body: sendMessageBody,
    answers: {
      202: {
        description: 'Accepted: it will be sent, or its status will say why not.',
        schema: messageSchema,
        headers: { Location: 'Where the message is.', 'Idempotent-Replayed': '`true` when it had been accepted before.' },
      },
    },
    errors: ['not_yet_supported', 'idempotency_key_reused', 'queue_full', 'redis_unavailable', 'accept_outcome_unknown'],
    async handle(deps, request) {
      const sessionId = sessionIdOf(request)
      const idempotencyKey = idempotencyKeyOf(request.headers)
      checkMessage(request.body)
      const { message, replayed } = await acceptMessage(deps.accept, {
        sessionId,
        request: messageRequest(request.body),
        idempotencyKey,
      })
      return {
        status: 202,
        headers: {
          Location: `/v1/sessions/${sessionId}/messages/${message.id}`,
          ...(replayed ? { 'Idempotent-Replayed': 'true' } : {}),
        },
        body: messageView(message),
      }
    },
  }),
  defineRoute({
    id: 'listMessages',
    method: 'get',
    ...paths('/messages'),
    tag,
    summary: 'List messages, newest first',
    access: 'read',
    target: 'session',
    query: listMessagesQuery,
    answers: { 200: { description: 'A page.', schema: pageOf(messageSchema) } },
    errors: [],
    async handle(deps, request) {
      const sessionId = sessionIdOf(request)
      const { to, ...query } = request.query
      const recipient = to === undefined ? undefined : parseAddress(to, 'query.to').recipient
      found(await findSession(deps.store, sessionId))
      const page = await deps.store.messages.list({ sessionId, ...withoutUndefined({ ...query, recipient }) })
      return { status: 200, body: { data: page.data.map((message) => messageView(message)), nextCursor: page.nextCursor } }
    },
  }),
  defineRoute({
    id: 'sendBatch',
    method: 'post',
    ...paths('/messages/batch'),
    tag,
    summary: 'Send up to 1,000 messages (not supported yet)',
    access: 'send',
    target: 'session',
    headers: sendHeaders,
    body: batchBody,
    answers: {},
    errors: ['not_yet_supported'],
    handle() {
      return Promise.reject(new AppError('not_yet_supported', 'Batches are not supported yet. Send the messages one by one.'))
    },
  }),
  defineRoute({
    id: 'getMessage',
    method: 'get',
    ...paths('/messages/{messageId}'),
    tag,
    summary: 'Read a message',
    access: 'read',
    target: 'session',
    params,
    answers: { 200: { description: 'The message.', schema: messageSchema } },
    errors: [],
    async handle(deps, request) {
      const sessionId = sessionIdOf(request)
      const { messages } = deps.store
      const message = found(await messages.get(sessionId, request.params.messageId))
      const position = message.status === 'queued' ? await messages.position(sessionId, message.id) : null
      return { status: 200, body: messageView(message, { position, estimatedSendAt: null }) }
    },
  }),
  defineRoute({
    id: 'cancelMessage',
    method: 'delete',
    ...paths('/messages/{messageId}'),
    tag,
    summary: 'Cancel a message (not supported yet)',
    access: 'send',
    target: 'session',
    params,
    answers: {},
    errors: ['not_yet_supported'],
    async handle(deps, request) {
      found(await deps.store.messages.get(sessionIdOf(request), request.params.messageId))
      throw new AppError('not_yet_supported', 'Messages cannot be canceled yet.')
    },
  }),
  defineRoute({
    id: 'checkContacts',
    method: 'post',
    ...paths('/contacts/check'),
    tag: 'Contacts',
    summary: 'Which of these numbers are on WhatsApp',
    access: 'send',
    target: 'session',
    body: checkContactsBody,
    answers: { 200: { description: 'In the order asked.', schema: checkedContactsSchema } },
    errors: ['session_not_connected', 'session_busy', 'redis_unavailable'],
    async handle(deps, request) {
      const sessionId = sessionIdOf(request)
      const phoneNumbers = request.body.phoneNumbers.map((text, index) => parsePhoneNumber(text, `phoneNumbers.${index}`))
      found(await findSession(deps.store, sessionId))
      return { status: 200, body: await callSession(deps, sessionId, 'contacts_check', { phoneNumbers }) }
    },
  }),
]

function messageRequest(body: SendMessageBody): MessageRequest {
  return {
    to: body.to,
    type: body.type,
    content: { text: body.text },
    priority: body.priority,
    replyTo: body.replyTo ?? null,
    mentions: (body.mentions ?? []).map((text, index) => parsePhoneNumber(text, `mentions.${index}`)),
    clientReference: body.clientReference ?? null,
  }
}

function idempotencyKeyOf(headers: Record<string, unknown>): string | null {
  const given = headers['idempotency-key']
  if (given === undefined) return null
  const parsed = sendHeaders.safeParse({ 'Idempotency-Key': given })
  if (!parsed.success) throw invalidRequest(parsed.error, 'headers')
  return parsed.data['Idempotency-Key'] ?? null
}
