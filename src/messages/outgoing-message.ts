// A stored message in the form the WhatsApp client sends it.
import { isId } from '../platform/id.ts'
import type { MessageRecord, MessageStore } from '../store/message-store.ts'
import { lidOf } from '../whatsapp/address.ts'
import type { OutgoingMessage } from '../whatsapp/whatsapp-client.ts'

type Lookup = Pick<MessageStore, 'get' | 'findByWhatsappId'>

export async function outgoingMessage(messages: Lookup, message: MessageRecord): Promise<OutgoingMessage> {
  return {
    whatsappId: message.whatsappId,
    // Whoever was written to by LID is reached by it, whatever has become of their number.
    recipient: lidOf(message.address.input.trim()) ?? message.recipient,
    type: message.type,
    content: message.content,
    replyTo: message.replyTo === null ? null : await quoted(messages, message.sessionId, message.replyTo),
    mentions: message.mentions,
  }
}

/** What WhatsApp knows by an id that we do not have is quoted without its text. */
async function quoted(messages: Lookup, sessionId: string, replyTo: string): Promise<OutgoingMessage['replyTo']> {
  const original = isId('msg', replyTo)
    ? await messages.get(sessionId, replyTo)
    : await messages.findByWhatsappId(sessionId, replyTo)
  if (!original) return { whatsappId: replyTo, text: '', fromMe: false, participant: null }
  const text = original.content['text'] as { body?: unknown } | undefined
  return {
    whatsappId: original.whatsappId,
    text: typeof text?.body === 'string' ? text.body : '',
    fromMe: original.direction === 'outbound',
    participant: original.participant,
  }
}
