// What a person wrote, from WhatsApp's stanza and protobuf to the message we store. Pure.
import {
  decodeMessageNode,
  getContentType,
  jidNormalizedUser,
  normalizeMessageContent,
  proto,
  type BinaryNode,
  type WAMessageKey,
} from '@whiskeysockets/baileys'
import { kindOfJid, lidOf, phoneNumberOf } from './address.ts'
import type { InboundMessage } from './whatsapp-client.ts'

export interface InboundEnvelope {
  key: WAMessageKey
  at: number
  pushName: string | null
}

/** Null for what is no message of a person to us: our own device's copies, status, newsletters. @throws on a stanza Baileys cannot read */
export function envelopeOf(stanza: BinaryNode, me: { id: string; lid: string }): InboundEnvelope | null {
  if (stanza.attrs['category'] === 'peer') return null
  const { fullMessage } = decodeMessageNode(stanza, me.id, me.lid)
  const seconds = Number(stanza.attrs['t'])
  const at = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : Date.now()
  return isFromPerson(fullMessage.key) ? { key: fullMessage.key, at, pushName: fullMessage.pushName ?? null } : null
}

export function isFromPerson(key: WAMessageKey): boolean {
  return !key.fromMe && kindOfJid(key.remoteJid ?? '') !== 'other'
}

/** Null when it holds nothing a person would see (keys, history, receipts of the protocol itself). */
export function toInboundMessage(
  { key, at, pushName }: InboundEnvelope,
  message: proto.IMessage,
  /** The other half of the sender's address, where the stanza did not hold it. */
  known: { phoneNumber?: string | null; lid?: string | null } = {},
): InboundMessage | null {
  const described = describe(message)
  const chatJid = key.remoteJid
  if (!described || !chatJid || !key.id) return null
  const isGroup = kindOfJid(chatJid) === 'group'
  const addresses = isGroup ? [key.participant, key.participantAlt] : [chatJid, key.remoteJidAlt]
  const phoneNumber = firstOf(addresses, phoneNumberOf) ?? known.phoneNumber ?? null
  const lid = firstOf(addresses, lidOf) ?? known.lid ?? null
  const sender = phoneNumber ? `${phoneNumber}@s.whatsapp.net` : lid
  return {
    whatsappId: key.id,
    // A chat is known by its phone number wherever possible, so that it is one chat however it is addressed.
    chat: isGroup ? jidNormalizedUser(chatJid) : (sender ?? jidNormalizedUser(chatJid)),
    participant: isGroup ? sender : null,
    fromPhoneNumber: phoneNumber,
    fromLid: lid,
    groupId: isGroup ? jidNormalizedUser(chatJid) : null,
    pushName,
    ...described,
    at,
  }
}

function firstOf<T>(jids: (string | null | undefined)[], pick: (jid: string | null | undefined) => T | null): T | null {
  for (const jid of jids) {
    const found = pick(jid)
    if (found !== null) return found
  }
  return null
}

type Described = Pick<InboundMessage, 'type' | 'content'>

function describe(raw: proto.IMessage): Described | null {
  const message = normalizeMessageContent(raw)
  if (!message) return null
  // Not `??`: what protobuf leaves out is an empty string.
  const text = message.conversation || message.extendedTextMessage?.text
  if (typeof text === 'string' && text !== '') return withReply('text', { body: text }, message.extendedTextMessage)
  if (message.protocolMessage) return describeChange(message.protocolMessage)
  return describeMedia(message) ?? describeOther(message)
}

function describeMedia(message: proto.IMessage): Described | null {
  const { imageMessage, videoMessage, audioMessage, documentMessage, stickerMessage } = message
  if (imageMessage) return withReply('image', fileOf(imageMessage), imageMessage)
  if (videoMessage) return withReply('video', fileOf(videoMessage), videoMessage)
  if (audioMessage) return withReply(audioMessage.ptt ? 'voice' : 'audio', fileOf(audioMessage), audioMessage)
  if (documentMessage)
    return withReply('document', { ...fileOf(documentMessage), fileName: documentMessage.fileName ?? null }, documentMessage)
  return stickerMessage ? withReply('sticker', fileOf(stickerMessage), stickerMessage) : null
}

function describeOther(message: proto.IMessage): Described | null {
  const { locationMessage, liveLocationMessage, contactMessage, contactsArrayMessage, reactionMessage } = message
  const place = locationMessage ?? liveLocationMessage
  if (place) {
    const { degreesLatitude, degreesLongitude } = place
    const labels = { name: locationMessage?.name ?? null, address: locationMessage?.address ?? null }
    return withReply('location', { latitude: degreesLatitude ?? null, longitude: degreesLongitude ?? null, ...labels }, place)
  }
  const people = contactMessage ? [contactMessage] : contactsArrayMessage?.contacts
  if (people) {
    const contacts = people.map(({ displayName, vcard }) => ({ displayName: displayName ?? null, vcard: vcard ?? null }))
    return { type: 'contact', content: { contact: { contacts } } }
  }
  if (reactionMessage) {
    const target = { whatsappId: reactionMessage.key?.id ?? null, emoji: reactionMessage.text ?? '' }
    return { type: 'reaction', content: { reaction: target } }
  }
  const poll = message.pollCreationMessage ?? message.pollCreationMessageV2 ?? message.pollCreationMessageV3
  if (poll) {
    const options = (poll.options ?? []).map((option) => option.optionName ?? '')
    return withReply('poll', { name: poll.name ?? '', options }, poll)
  }
  return describeUnknown(message)
}

/** Edits and deletions name the message they change. */
function describeChange(change: proto.Message.IProtocolMessage): Described | null {
  const whatsappId = change.key?.id ?? null
  const kinds = proto.Message.ProtocolMessage.Type
  if (change.type === kinds.REVOKE) return { type: 'delete', content: { delete: { whatsappId } } }
  if (change.type !== kinds.MESSAGE_EDIT) return null
  const edited = change.editedMessage ? describe(change.editedMessage) : null
  return { type: 'edit', content: { edit: { whatsappId }, ...edited?.content } }
}

/** Under WhatsApp's own name, with whatever text it carries. */
function describeUnknown(message: proto.IMessage): Described | null {
  const type = getContentType(message)
  if (!type || silentTypes.has(type)) return null
  const value: unknown = message[type]
  const body = typeof value === 'object' && value !== null ? textIn(value) : null
  return { type, content: { [type]: body === null ? {} : { body } } }
}

const silentTypes = new Set<string>([
  'conversation',
  'extendedTextMessage',
  'senderKeyDistributionMessage',
  'fastRatchetKeySenderKeyDistributionMessage',
  'messageContextInfo',
  'keepInChatMessage',
  'placeholderMessage',
])

function textIn(value: object): string | null {
  for (const key of ['selectedDisplayText', 'title', 'contentText', 'text', 'caption', 'body']) {
    const text: unknown = (value as Record<string, unknown>)[key]
    if (typeof text === 'string' && text !== '') return text
  }
  return null
}

interface FileMessage {
  caption?: string | null
  mimetype?: string | null
}

function fileOf(file: FileMessage): { caption: string | null; mimeType: string | null } {
  return { caption: file.caption ?? null, mimeType: file.mimetype ?? null }
}

function withReply(
  type: string,
  value: Record<string, unknown>,
  holder: { contextInfo?: proto.IContextInfo | null } | null | undefined,
): Described {
  const quotedId = holder?.contextInfo?.stanzaId
  return { type, content: { [type]: value, ...(quotedId ? { replyTo: quotedId } : {}) } }
}
