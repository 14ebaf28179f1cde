// What users see of a message, and which events its states make.
import { expect, test } from 'vitest'
import { describeMessage } from '../../src/messages/message-events.ts'
import { messageView } from '../../src/messages/message-view.ts'
import { newOutboundMessage, type MessageRequest } from '../../src/messages/message.ts'
import { inboundMessage } from '../../src/messages/store-inbound.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'

const at = Date.UTC(2026, 10, 23, 7, 0, 0, 5)
const request: MessageRequest = {
  to: '+254 712 345 678',
  type: 'text',
  content: { text: { body: 'Habari', linkPreview: false } },
  priority: 'normal',
  replyTo: null,
  mentions: [],
  clientReference: 'order-7',
  sendAt: null,
  expiresAt: null,
}
const address = { input: request.to, phoneNumber: '254712345678', lid: null, groupId: null }
const outbound = (changes: Partial<MessageRecord> = {}): MessageRecord => ({
  ...newOutboundMessage({ sessionId: 'ses_1', request, recipient: '254712345678@s.whatsapp.net', address, now: at }),
  ...changes,
})

test('a queued message shows its content under its type, every time it can have, and nothing internal', () => {
  const message = outbound({ sequence: 4 })
  expect(messageView(message, { position: 3, estimatedSendAt: at + 1_000, hold: null })).toEqual({
    id: message.id,
    sessionId: 'ses_1',
    direction: 'outbound',
    to: { input: '+254 712 345 678', phoneNumber: '254712345678', lid: null },
    type: 'text',
    text: { body: 'Habari', linkPreview: false },
    status: 'queued',
    whatsappId: message.whatsappId,
    priority: 'normal',
    position: 3,
    estimatedSendAt: '2026-11-23T07:00:01.005Z',
    clientReference: 'order-7',
    replyTo: null,
    timestamps: {
      queuedAt: '2026-11-23T07:00:00.005Z',
      sendingAt: null,
      sentAt: null,
      deliveredAt: null,
      readAt: null,
      playedAt: null,
      failedAt: null,
      expiredAt: null,
      canceledAt: null,
    },
  })
})

test('why a message waits or failed is shown only when it does', () => {
  const held = messageView(outbound({ heldBy: 'recipient', heldUntil: at }))
  expect(held).toMatchObject({
    heldBy: 'recipient',
    heldUntil: '2026-11-23T07:00:00.005Z',
    position: null,
    estimatedSendAt: null,
  })
  const place = { position: 0, estimatedSendAt: at, hold: { heldBy: 'session', heldUntil: at + 5 } } as const
  expect(messageView(outbound(), place)).toMatchObject({ heldBy: 'session', heldUntil: '2026-11-23T07:00:00.010Z' })
  expect(messageView(outbound({ heldBy: 'recipient', heldUntil: at }), { ...place, hold: null })).not.toHaveProperty('heldBy')
  const error = { code: 'recipient_not_on_whatsapp', detail: 'x' }
  expect(messageView(outbound({ status: 'failed', error }))).toMatchObject({ status: 'failed', error })
})

test('an inbound message is from its sender, with both addresses and the group', () => {
  const message = inboundMessage(
    'ses_1',
    {
      whatsappId: 'ABC',
      chat: '120363000000000000@g.us',
      participant: '99@lid',
      fromPhoneNumber: '254700000001',
      fromLid: '99@lid',
      groupId: '120363000000000000@g.us',
      pushName: 'Asha',
      type: 'text',
      content: { text: { body: 'Hi' } },
      at,
    },
    at + 50,
  )
  const view = messageView(message)
  expect(view).toMatchObject({
    direction: 'inbound',
    from: { phoneNumber: '254700000001', lid: '99@lid', groupId: '120363000000000000@g.us' },
    text: { body: 'Hi' },
    pushName: 'Asha',
    status: 'received',
    timestamps: { receivedAt: '2026-11-23T07:00:00.005Z' },
  })
  expect(view).not.toHaveProperty('to')
  expect(describeMessage(message)).toEqual([{ type: 'message.received', data: { message: view } }])
})

test.each(['queued', 'sending', 'sent', 'delivered', 'read', 'played', 'failed', 'expired', 'canceled'] as const)(
  'reaching %s is told by an event that shows the message as it then is',
  (status) => {
    const message = outbound({ status })
    expect(describeMessage(message)).toEqual([{ type: `message.${status}`, data: { message: messageView(message) } }])
  },
)

test('a scheduled message is not told of before it is queued', () => {
  expect(describeMessage(outbound({ status: 'scheduled' }))).toEqual([])
})

test.each([
  ['reaction', 'message.reaction'],
  ['edit', 'message.edited'],
  ['delete', 'message.deleted'],
  ['image', 'message.received'],
  ['constructor', 'message.received'],
])('an inbound %s is told as %s, an outbound one by its status', (type, event) => {
  const message = outbound({ type, content: { [type]: { whatsappId: 'B2' } }, direction: 'inbound', status: 'received' })
  expect(describeMessage(message)).toEqual([{ type: event, data: { message: messageView(message) } }])
  expect(describeMessage({ ...message, direction: 'outbound', status: 'sent' })).toMatchObject([{ type: 'message.sent' }])
})
