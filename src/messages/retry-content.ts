// What a phone that could not decrypt a message is sent again: read from the store, so that any later process can answer.
import type { MessageStore } from '../store/message-store.ts'
import type { OutgoingMessage } from '../whatsapp/whatsapp-client.ts'
import type { LinkPreviews } from './link-preview.ts'
import { outgoingMessage } from './outgoing-message.ts'

/** Null when it is not one of ours, or no longer kept. */
export async function retryContent(
  messages: Pick<MessageStore, 'get' | 'findByWhatsappId'>,
  sessionId: string,
  whatsappId: string,
  previews: Pick<LinkPreviews, 'known'> | null = null,
): Promise<(OutgoingMessage & { lid: string | null }) | null> {
  const message = await messages.findByWhatsappId(sessionId, whatsappId)
  if (message?.direction !== 'outbound') return null
  const outgoing = { ...(await outgoingMessage(messages, message)), lid: message.address.lid }
  const linkPreview = previews?.known(message)
  return linkPreview ? { ...outgoing, linkPreview } : outgoing
}
