// What a person can write: a text, a place, a reaction to a message, a changed text, or a message taken back.
import { proto } from '@whiskeysockets/baileys'
import type { ShownMessage } from './chat-log.ts'
import { PhoneError } from './phone-error.ts'
import type { PhoneState } from './phone-state.ts'

export type OutgoingContent =
  | { kind: 'text'; text: string; replyTo?: string }
  | { kind: 'location'; latitude: number; longitude: number; name?: string }
  | { kind: 'reaction'; targetId: string; emoji: string }
  | { kind: 'edit'; targetId: string; text: string }
  | { kind: 'delete'; targetId: string }

interface Built {
  message: proto.IMessage
  /** The stanza's `type`. */
  stanzaType: string
  /** Further attributes of the stanza. */
  attrs: Record<string, string>
}

/** @throws PhoneError `message_not_found` when it is about a message that this phone does not show in that chat. */
export function buildMessage(phone: PhoneState, chat: string, chatJid: string, content: OutgoingContent): Built {
  switch (content.kind) {
    case 'text':
      return { message: textMessage(phone, chat, content), stanzaType: 'text', attrs: {} }
    case 'location': {
      const { latitude: degreesLatitude, longitude: degreesLongitude, name } = content
      const locationMessage = { degreesLatitude, degreesLongitude, ...(name ? { name } : {}) }
      return { message: { locationMessage }, stanzaType: 'media', attrs: {} }
    }
    case 'reaction': {
      const target = requireMessage(phone, chat, content.targetId)
      const reactionMessage = { key: keyOf(target, chatJid), text: content.emoji, senderTimestampMs: Date.now() }
      return { message: { reactionMessage }, stanzaType: 'reaction', attrs: {} }
    }
    case 'edit': {
      const target = requireMessage(phone, chat, content.targetId, true)
      const { MESSAGE_EDIT: type } = proto.Message.ProtocolMessage.Type
      const editedMessage = { conversation: content.text }
      const protocolMessage = { key: keyOf(target, chatJid), type, editedMessage, timestampMs: Date.now() }
      return { message: { protocolMessage }, stanzaType: 'text', attrs: { edit: '1' } }
    }
    case 'delete': {
      const target = requireMessage(phone, chat, content.targetId, true)
      const { REVOKE: type } = proto.Message.ProtocolMessage.Type
      return { message: { protocolMessage: { key: keyOf(target, chatJid), type } }, stanzaType: 'text', attrs: { edit: '7' } }
    }
  }
}

function textMessage(phone: PhoneState, chat: string, content: { text: string; replyTo?: string }): proto.IMessage {
  if (content.replyTo === undefined) return { conversation: content.text }
  const quoted = requireMessage(phone, chat, content.replyTo)
  const contextInfo = {
    stanzaId: quoted.id,
    participant: `${quoted.from}@s.whatsapp.net`,
    quotedMessage: { conversation: quoted.text },
  }
  return { extendedTextMessage: { text: content.text, contextInfo } }
}

function requireMessage(phone: PhoneState, chat: string, id: string, mine = false): ShownMessage {
  const found = (mine ? undefined : phone.chats.find(id, false)) ?? phone.chats.find(id, true)
  if (!found || found.chat !== chat) throw new PhoneError('message_not_found')
  return found
}

function keyOf(target: ShownMessage, chatJid: string): proto.IMessageKey {
  return { remoteJid: chatJid, fromMe: target.fromMe, id: target.id }
}
