// What a phone shows: one message per id, in order of arrival, within bounds; and what each kind of message says.
import { proto } from '@whiskeysockets/baileys'
import { assert as assertProperty, property, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ChatLog, maxShownMessages, messageKey, orderLane } from '../../src/sandbox/phones/chat-log.ts'
import { readContent } from '../../src/sandbox/phones/message-content.ts'
import { orderMarker } from '../../src/sandbox/phones/order-watch.ts'
import { padMessage, unpadMessage } from '../../src/sandbox/phones/padding.ts'

const from = '254700000001'
const arrival = (id: string, text: string) => ({
  id,
  chat: from,
  from,
  fromMe: false,
  type: 'text',
  text,
  at: 0,
  senderJid: `${from}@s.whatsapp.net`,
})
const wait = (log: ChatLog, id: string) => log.wait(messageKey(from, from, id), orderLane(from, from))

describe('order', () => {
  it('is read from the last marker of a text', () => {
    expect(['no', 'a #7', '#1 then #12', '#12x', 'n#3.', '# 4', '#1234567890123456'].map(orderMarker)).toEqual([
      undefined,
      7,
      12,
      12,
      3,
      undefined,
      undefined,
    ])
  })

  it('is broken by a lower number after a higher one of the same sender', () => {
    const log = new ChatLog()
    const broken = [1, 2, 4, 3, 5].map((n) => log.show(arrival(`id${n}`, `text #${n}`)).brokeOrder)
    expect(broken).toEqual([false, false, false, true, false])
    expect(log.counts.orderViolations).toBe(1)
    expect(log.show({ ...arrival('x', 'other chat #1'), chat: 'other', from: 'other' }).brokeOrder).toBe(false)
  })

  it('of a healed message is that of its first arrival', () => {
    const log = new ChatLog()
    log.show(arrival('a', '#1'))
    wait(log, 'b')
    log.show(arrival('c', '#3'))
    expect(log.waitingCount).toBe(1)
    expect(log.show(arrival('b', '#2')).brokeOrder).toBe(false)
    expect(log.list().map(({ id, order }) => [id, order])).toEqual([
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ])
    expect(log.waitingCount).toBe(0)
  })

  it('is broken by a healed message that others with lower numbers had followed, or that came too late at first', () => {
    const overtaken = new ChatLog()
    wait(overtaken, 'b')
    overtaken.show(arrival('a', '#1'))
    expect(overtaken.show(arrival('b', '#2')).brokeOrder).toBe(true)
    const late = new ChatLog()
    late.show(arrival('c', '#3'))
    wait(late, 'b')
    expect(late.show(arrival('b', '#2')).brokeOrder).toBe(true)
  })
})

describe('a chat log', () => {
  it('keeps the last messages only, but knows older ids', () => {
    const log = new ChatLog()
    for (let n = 0; n < maxShownMessages + 10; n += 1) log.show(arrival(`id${n}`, 'text'))
    expect(log.list()).toHaveLength(maxShownMessages)
    expect(log.list()[0]?.id).toBe('id10')
    expect(log.unreadCount).toBe(maxShownMessages)
    expect(log.hasSeen(messageKey(from, from, 'id0'))).toBe(true)
    log.countDuplicate(messageKey(from, from, 'id0'))
    expect(log.counts).toMatchObject({ distinctIds: maxShownMessages + 10, duplicates: 1 })
  })

  it('moves a status forward only, and fails only what is not yet accepted', () => {
    const log = new ChatLog()
    const { message } = log.show({ ...arrival('mine', 'text'), fromMe: true, status: 'pending' })
    for (const [status, expected] of [
      ['read', 'read'],
      ['delivered', 'read'],
      ['sent', 'read'],
    ] as const) {
      log.advance('mine', status)
      expect(message.status).toBe(expected)
    }
    log.fail('mine', 479)
    expect(message.status).toBe('read')
  })
})

describe('what a message says', () => {
  const cases: [string, proto.IMessage, ReturnType<typeof readContent>][] = [
    ['text', { conversation: 'hi' }, { kind: 'shown', type: 'text', text: 'hi' }],
    [
      'a reply',
      { extendedTextMessage: { text: 'yes', contextInfo: { stanzaId: 'Q1' } } },
      { kind: 'shown', type: 'text', text: 'yes', replyTo: 'Q1' },
    ],
    ['an image with words', { imageMessage: { caption: 'us' } }, { kind: 'shown', type: 'image', text: 'us' }],
    ['an image seen once', { viewOnceMessage: { message: { imageMessage: {} } } }, { kind: 'shown', type: 'image', text: '' }],
    ['a voice note', { audioMessage: { ptt: true } }, { kind: 'shown', type: 'voice', text: '' }],
    ['audio', { audioMessage: {} }, { kind: 'shown', type: 'audio', text: '' }],
    ['a document', { documentMessage: { fileName: 'a.pdf' } }, { kind: 'shown', type: 'document', text: 'a.pdf' }],
    ['a contact', { contactMessage: { displayName: 'Asha' } }, { kind: 'shown', type: 'contact', text: 'Asha' }],
    [
      'a poll',
      { pollCreationMessageV3: { name: 'When?', options: [{ optionName: 'now' }] } },
      { kind: 'shown', type: 'poll', text: 'When?\n○ now' },
    ],
    ['a reaction', { reactionMessage: { key: { id: 'T' }, text: '👍' } }, { kind: 'reaction', targetId: 'T', emoji: '👍' }],
    [
      'an edit',
      {
        protocolMessage: {
          type: proto.Message.ProtocolMessage.Type.MESSAGE_EDIT,
          key: { id: 'T' },
          editedMessage: { conversation: 'b' },
        },
      },
      { kind: 'edit', targetId: 'T', text: 'b' },
    ],
    [
      'a deletion',
      { protocolMessage: { type: proto.Message.ProtocolMessage.Type.REVOKE, key: { id: 'T' } } },
      { kind: 'delete', targetId: 'T' },
    ],
    ['a group key', { senderKeyDistributionMessage: { groupId: 'g' } }, { kind: 'hidden' }],
    ['settings', { protocolMessage: { type: proto.Message.ProtocolMessage.Type.EPHEMERAL_SETTING } }, { kind: 'hidden' }],
    ['something new', { orderMessage: { orderId: '1' } }, { kind: 'shown', type: 'order', text: '' }],
    ['nothing', {}, { kind: 'hidden' }],
  ]
  it.each(cases)('%s', (_, message, content) => {
    const wire = proto.Message.decode(proto.Message.encode(message).finish())
    expect(readContent(wire)).toEqual(content)
  })
})

describe('padding', () => {
  it('comes off as it went on, whatever the message', () => {
    const roundTrip = property(uint8Array({ maxLength: 300 }), (plain) => {
      const padded = padMessage(plain)
      const count = padded.length - plain.length
      return count >= 1 && count <= 16 && unpadMessage(padded).equals(plain)
    })
    expect(() => assertProperty(roundTrip)).not.toThrow()
  })

  it('is refused when it is not what it should be', () => {
    for (const bytes of [[], [0], [17], [1, 2, 3], [5, 5, 5]]) expect(() => unpadMessage(Buffer.from(bytes))).toThrow(/padding/)
  })
})
