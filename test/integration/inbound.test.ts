// Inbound messages and retry contents on a real store.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { pino } from 'pino'
import { describeMessage } from '../../src/messages/message-events.ts'
import { newOutboundMessage } from '../../src/messages/message.ts'
import { retryContent } from '../../src/messages/retry-content.ts'
import { storeInbound, type InboundDeps } from '../../src/messages/store-inbound.ts'
import { AppError } from '../../src/platform/errors.ts'
import type { PublishedEvent } from '../../src/store/event-store.ts'
import type { InboundMessage } from '../../src/whatsapp/whatsapp-client.ts'
import { createSession, textRequest } from '../support/send-rig.ts'
import { openTestSqlite, type TestStore } from '../support/store.ts'

let opened: TestStore
let sessionId: string
let deps: InboundDeps
let published: PublishedEvent[]
beforeEach(async () => {
  opened = await openTestSqlite()
  sessionId = await createSession(opened.store)
  published = []
  const announce = (events: PublishedEvent[]) => void published.push(...events)
  const { messages } = opened.store
  deps = { messages, announce, ending: new AbortController().signal, log: pino({ level: 'silent' }) }
})
afterEach(() => opened.close())

const chat = '254700000001@s.whatsapp.net'
const inbound = (changes: Partial<InboundMessage> = {}): InboundMessage => ({
  whatsappId: 'AC11',
  chat,
  participant: null,
  fromPhoneNumber: '254700000001',
  fromLid: '77@lid',
  groupId: null,
  pushName: 'Asha',
  type: 'text',
  content: { text: { body: 'Habari' } },
  at: 1_000,
  ...changes,
})
const stored = async () => (await opened.store.messages.list({ sessionId, direction: 'inbound', limit: 50 })).data

test('what a person writes is stored and told with both addresses', async () => {
  await storeInbound(deps, sessionId, inbound())
  const [message] = await stored()
  expect(message).toMatchObject({ status: 'received', recipient: chat, whatsappId: 'AC11', reachedAt: { received: 1_000 } })
  expect(published.map(({ event }) => event.type)).toEqual(['message.received'])
  expect(published[0]?.event.data).toMatchObject({
    message: {
      id: message?.id,
      direction: 'inbound',
      from: { phoneNumber: '254700000001', lid: '77@lid' },
      text: { body: 'Habari' },
    },
  })
})

test('handed over again, also at the same moment, it is stored and told once', async () => {
  await Promise.all([1, 2, 3].map(() => storeInbound(deps, sessionId, inbound())))
  await storeInbound(deps, sessionId, inbound())
  expect(await stored()).toHaveLength(1)
  expect(published).toHaveLength(1)
})

test('the same id from another chat or another member is another message', async () => {
  await storeInbound(deps, sessionId, inbound())
  await storeInbound(deps, sessionId, inbound({ chat: '254700000002@s.whatsapp.net' }))
  const group = { chat: '120363000000000000@g.us', groupId: '120363000000000000@g.us' }
  await storeInbound(deps, sessionId, inbound({ ...group, participant: '77@lid' }))
  await storeInbound(deps, sessionId, inbound({ ...group, participant: '78@lid' }))
  expect(await stored()).toHaveLength(4)
})

test('the store is asked until it takes it', async () => {
  let refusals = 3
  const { messages } = opened.store
  const storeIt: typeof messages.storeInbound = (...input) =>
    (refusals -= 1) >= 0 ? Promise.reject(new AppError('store_unavailable')) : messages.storeInbound(...input)
  await storeInbound({ ...deps, messages: { storeInbound: storeIt } }, sessionId, inbound())
  expect(await stored()).toHaveLength(1)
})

test('a phone that could not decrypt is answered from the store, also by a process that never sent it', async () => {
  await storeInbound(deps, sessionId, inbound())
  const [question] = await stored()
  const request = textRequest('+254700000001', 'Nzuri', { replyTo: question!.id })
  const address = { input: request.to, phoneNumber: '254700000001', lid: null, groupId: null }
  const message = newOutboundMessage({ sessionId, request, recipient: chat, address, now: Date.now() })
  const accepted = { message, idempotency: null, maxQueueDepth: 10, now: Date.now() }
  await opened.store.messages.accept(accepted, describeMessage)
  expect(await retryContent(opened.store.messages, sessionId, message.whatsappId)).toEqual({
    whatsappId: message.whatsappId,
    recipient: chat,
    type: 'text',
    content: { text: { body: 'Nzuri', linkPreview: false } },
    replyTo: { whatsappId: 'AC11', text: 'Habari', fromMe: false, participant: null },
    mentions: [],
    lid: null,
  })
  expect(await retryContent(opened.store.messages, sessionId, 'AC11')).toBeNull()
  expect(await retryContent(opened.store.messages, sessionId, 'unknown')).toBeNull()
})
