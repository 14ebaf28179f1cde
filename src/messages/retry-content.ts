// What a phone that could not decrypt a message is sent again: read from the store, so that any later process can answer.
import type { MessageStore } from '../store/message-store.ts'
import type { OutgoingMessage } from '../whatsapp/whatsapp-client.ts'
import { outgoingMessage } from './outgoing-message.ts'

/** Null when it is not one of ours, or no longer kept. */
export async function retryContent(
  messages: Pick<MessageStore, 'get' | 'findByWhatsappId'>,
  sessionId: string,
  whatsappId: string,
): Promise<OutgoingMessage | null> {
  const message = await messages.findByWhatsappId(sessionId, whatsappId)
  return message?.direction === 'outbound' ? outgoingMessage(messages, message) : null
}
