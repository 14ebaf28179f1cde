// Messages: accept, read, list; and which numbers are on WhatsApp.
import { z } from 'zod'
import { acceptBatch, acceptMessage, type Accepted } from '../../messages/accept-message.ts'
import { cancelMessage } from '../../messages/cancel-message.ts'
import { messageView } from '../../messages/message-view.ts'
import { readQueue } from '../../messages/read-queue.ts'
import { findSession } from '../../sessions/edit-session.ts'
import { callSession } from '../../sessions/session-command.ts'
import type { MessageRecord } from '../../store/message-store.ts'
import { parseAddress, parsePhoneNumber } from '../../whatsapp/address.ts'
import { found, withoutUndefined } from '../found.ts'
import { batchItem, batchResult, idempotencyKeyOf, messageRequest } from '../message-input.ts'
import { defineRoute, sessionIdOf, type Route } from '../route.ts'
import { idField, pageOf } from '../schemas/field-schemas.ts'
import {
  batchBody,
  batchResultsSchema,
  checkContactsBody,
  checkedContactsSchema,
  listMessagesQuery,
  messageSchema,
  queueSchema,
  readQueueQuery,
  sendHeaders,
  sendMessageBody,
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
      const { message, replayed, session, position } = await acceptMessage(deps.accept, {
        sessionId,
        request: messageRequest(request.body),
        idempotencyKey: idempotencyKeyOf(request.headers),
      })
      const places = await deps.forecasts.placesOf(
        session,
        [message],
        position === null ? undefined : new Map([[message.id, position]]),
      )
      return {
        status: 202,
        headers: {
          Location: `/v1/sessions/${sessionId}/messages/${message.id}`,
          ...(replayed ? { 'Idempotent-Replayed': 'true' } : {}),
        },
        body: messageView(message, places.get(message.id)),
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
      const session = found(await findSession(deps.store, sessionId))
      const page = await deps.store.messages.list({ sessionId, ...withoutUndefined({ ...query, recipient }) })
      const places = await deps.forecasts.placesOf(session, page.data)
      const data = page.data.map((message) => messageView(message, places.get(message.id)))
      return { status: 200, body: { data, nextCursor: page.nextCursor } }
    },
  }),
  defineRoute({
    id: 'readQueue',
    method: 'get',
    ...paths('/queue'),
    tag,
    summary: 'See what leaves next',
    description:
      'The head of the queue in the order in which it is expected to leave: what is held back stands behind what is not.',
    access: 'read',
    target: 'session',
    query: readQueueQuery,
    answers: { 200: { description: 'At most `limit` of either list.', schema: queueSchema } },
    errors: [],
    async handle(deps, request) {
      const session = found(await findSession(deps.store, sessionIdOf(request)))
      const head = await readQueue({ messages: deps.store.messages, forecasts: deps.forecasts }, session, request.query.limit)
      const { next, positions, scheduled, ...counts } = head
      const places = await deps.forecasts.placesOf(session, [...next, ...scheduled], positions)
      const view = (message: MessageRecord) => messageView(message, places.get(message.id))
      return { status: 200, body: { ...counts, next: next.map(view), scheduled: scheduled.map(view) } }
    },
  }),
  defineRoute({
    id: 'sendBatch',
    method: 'post',
    ...paths('/messages/batch'),
    tag,
    summary: 'Send up to 1,000 messages',
    description:
      'Each is accepted or refused for itself, in the order given. With the header alone item i (from 0) has the key `<header>#<i>`.',
    access: 'send',
    target: 'session',
    headers: sendHeaders,
    body: batchBody,
    answers: { 207: { description: 'What became of each, in the order given.', schema: batchResultsSchema } },
    errors: ['redis_unavailable'],
    async handle(deps, request) {
      const sessionId = sessionIdOf(request)
      const headerKey = idempotencyKeyOf(request.headers)
      const items = request.body.messages.map((item, index) =>
        batchItem(item, headerKey === null ? null : `${headerKey}#${index}`),
      )
      const outcomes = await acceptBatch(deps.accept, sessionId, items)
      const accepted = outcomes.flatMap((outcome) => ('message' in outcome && 'session' in outcome ? [outcome] : []))
      const [first] = accepted
      const messages = accepted.map(({ message }) => message)
      const places = first ? await deps.forecasts.placesOf(first.session, messages, positionsOf(accepted)) : new Map()
      return { status: 207, body: { results: outcomes.map((outcome) => batchResult(outcome, places)) } }
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
      const reads = [findSession(deps.store, sessionId), deps.store.messages.get(sessionId, request.params.messageId)] as const
      const [owner, record] = await Promise.all(reads)
      const [session, message] = [found(owner), found(record)]
      const isWaiting = message.status === 'queued' || message.status === 'scheduled'
      const places = isWaiting ? await deps.forecasts.placesOf(session, [message]) : null
      return { status: 200, body: messageView(message, places?.get(message.id)) }
    },
  }),
  defineRoute({
    id: 'cancelMessage',
    method: 'delete',
    ...paths('/messages/{messageId}'),
    tag,
    summary: 'Cancel a message',
    description: 'While it is scheduled or queued; then it is never sent.',
    access: 'send',
    target: 'session',
    params,
    answers: { 200: { description: 'Canceled.', schema: messageSchema } },
    errors: ['message_not_cancelable'],
    async handle(deps, request) {
      const sessionId = sessionIdOf(request)
      found(await findSession(deps.store, sessionId))
      return { status: 200, body: messageView(await cancelMessage(deps.accept, sessionId, request.params.messageId)) }
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

function positionsOf(accepted: readonly Accepted[]): Map<string, number> {
  return new Map(accepted.flatMap(({ message, position }) => (position === null ? [] : [[message.id, position] as const])))
}
