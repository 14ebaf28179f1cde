// What people write, in all of WhatsApp's kinds, and what is no message of a person at all.
import { proto, type BinaryNode } from '@whiskeysockets/baileys'
import { expect, test } from 'vitest'
import { envelopeOf, toInboundMessage } from '../../src/whatsapp/inbound-message.ts'

const { REVOKE, MESSAGE_EDIT, HISTORY_SYNC_NOTIFICATION, APP_STATE_SYNC_KEY_SHARE } = proto.Message.ProtocolMessage.Type
const me = { id: '254700000001:3@s.whatsapp.net', lid: '9001:3@lid' }
const stanza = (attrs: Record<string, string>): BinaryNode => ({
  tag: 'message',
  attrs: { id: 'A1', from: '254700000002@s.whatsapp.net', t: '1700000000', notify: 'Amina', ...attrs },
})
const read = (message: proto.IMessage, attrs: Record<string, string> = {}) => {
  const envelope = envelopeOf(stanza(attrs), me)
  // As it comes off the wire.
  return envelope && toInboundMessage(envelope, proto.Message.decode(proto.Message.encode(message).finish()))
}

test.each<[string, proto.IMessage, Record<string, unknown>]>([
  ['text', { conversation: 'habari' }, { text: { body: 'habari' } }],
  ['text', { extendedTextMessage: { text: 'jibu', contextInfo: { stanzaId: 'B2' } } }, { text: { body: 'jibu' }, replyTo: 'B2' }],
  ['text', { ephemeralMessage: { message: { conversation: 'muda' } } }, { text: { body: 'muda' } }],
  [
    'image',
    { imageMessage: { caption: 'picha', mimetype: 'image/jpeg' } },
    { image: { caption: 'picha', mimeType: 'image/jpeg' } },
  ],
  ['image', { viewOnceMessageV2: { message: { imageMessage: {} } } }, { image: { caption: null, mimeType: null } }],
  ['video', { videoMessage: { caption: 'v' } }, { video: { caption: 'v', mimeType: null } }],
  ['audio', { audioMessage: { mimetype: 'audio/mp4' } }, { audio: { caption: null, mimeType: 'audio/mp4' } }],
  ['voice', { audioMessage: { ptt: true } }, { voice: { caption: null, mimeType: null } }],
  [
    'document',
    { documentWithCaptionMessage: { message: { documentMessage: { fileName: 'a.pdf', caption: 'c' } } } },
    { document: { caption: 'c', mimeType: null, fileName: 'a.pdf' } },
  ],
  ['sticker', { stickerMessage: {} }, { sticker: { caption: null, mimeType: null } }],
  [
    'location',
    { locationMessage: { degreesLatitude: -1.2, degreesLongitude: 36.8, name: 'N' } },
    { location: { latitude: -1.2, longitude: 36.8, name: 'N', address: null } },
  ],
  [
    'contact',
    { contactMessage: { displayName: 'Juma', vcard: 'BEGIN:VCARD' } },
    { contact: { contacts: [{ displayName: 'Juma', vcard: 'BEGIN:VCARD' }] } },
  ],
  [
    'poll',
    { pollCreationMessageV3: { name: 'Lini?', options: [{ optionName: 'Leo' }, { optionName: 'Kesho' }] } },
    { poll: { name: 'Lini?', options: ['Leo', 'Kesho'] } },
  ],
  ['reaction', { reactionMessage: { key: { id: 'B2' }, text: '👍' } }, { reaction: { whatsappId: 'B2', emoji: '👍' } }],
  ['delete', { protocolMessage: { key: { id: 'B2' }, type: REVOKE } }, { delete: { whatsappId: 'B2' } }],
  [
    'edit',
    { protocolMessage: { key: { id: 'B2' }, type: MESSAGE_EDIT, editedMessage: { conversation: 'sahihi' } } },
    { edit: { whatsappId: 'B2' }, text: { body: 'sahihi' } },
  ],
  [
    'buttonsResponseMessage',
    { buttonsResponseMessage: { selectedDisplayText: 'Ndiyo' } },
    { buttonsResponseMessage: { body: 'Ndiyo' } },
  ],
  ['listResponseMessage', { listResponseMessage: { title: 'Chai' } }, { listResponseMessage: { body: 'Chai' } }],
])('a message of kind %s', (type, message, content) => {
  expect(read(message)).toEqual({
    whatsappId: 'A1',
    chat: '254700000002@s.whatsapp.net',
    participant: null,
    fromPhoneNumber: '254700000002',
    fromLid: null,
    groupId: null,
    pushName: 'Amina',
    type,
    content,
    at: 1_700_000_000_000,
  })
})

test.each<proto.IMessage>([
  {},
  { conversation: '' },
  { senderKeyDistributionMessage: { groupId: 'g' } },
  { protocolMessage: { type: HISTORY_SYNC_NOTIFICATION } },
  { protocolMessage: { type: APP_STATE_SYNC_KEY_SHARE } },
  { messageContextInfo: {} },
])('%j is nothing a person would see', (message) => {
  expect(read(message)).toBeNull()
})

test.each([
  { from: '254700000001@s.whatsapp.net', recipient: '254700000002@s.whatsapp.net' },
  { from: '9001@lid', recipient: '9002@lid' },
  { category: 'peer', from: '254700000001@s.whatsapp.net' },
  { from: 'status@broadcast', participant: '254700000002@s.whatsapp.net' },
  { from: '1203@newsletter' },
])('%o is not from a person to us', (attrs) => {
  expect(read({ conversation: 'x' }, attrs)).toBeNull()
})

test.each([
  [{ from: '9002@lid', sender_pn: '254700000002@s.whatsapp.net', addressing_mode: 'lid' }],
  [{ from: '9002:4@lid', sender_pn: '254700000002@s.whatsapp.net' }],
  [{ from: '254700000002:4@s.whatsapp.net', sender_lid: '9002@lid' }],
])('%o has both addresses, and its chat is the phone number’s', (attrs) => {
  expect(read({ conversation: 'x' }, attrs)).toMatchObject({
    chat: '254700000002@s.whatsapp.net',
    fromPhoneNumber: '254700000002',
    fromLid: '9002@lid',
  })
})

test('a LID whose number is not known is a chat of its own', () => {
  expect(read({ conversation: 'x' }, { from: '9002:1@lid' })).toMatchObject({
    chat: '9002@lid',
    fromPhoneNumber: null,
    fromLid: '9002@lid',
  })
})

test('in a group the chat is the group and the writer the participant', () => {
  const attrs = { from: '120363@g.us', participant: '9002@lid', participant_pn: '254700000002@s.whatsapp.net' }
  expect(read({ conversation: 'x' }, attrs)).toMatchObject({
    chat: '120363@g.us',
    groupId: '120363@g.us',
    participant: '254700000002@s.whatsapp.net',
    fromPhoneNumber: '254700000002',
    fromLid: '9002@lid',
  })
})

test('a time that is none becomes now', () => {
  const before = Date.now()
  expect(read({ conversation: 'x' }, { t: 'kesho' })?.at).toBeGreaterThanOrEqual(before)
})
