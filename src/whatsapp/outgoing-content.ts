// What we send, in Baileys' words: for the send itself, and again when a phone could not decrypt it.
import { generateWAMessage, type AnyMessageContent, type proto, type WAMessage, type WAUrlInfo } from '@whiskeysockets/baileys'
import { AppError } from '../platform/errors.ts'
import { jidOfPhoneNumber } from './address.ts'
import type { LinkPreview, OutgoingMessage } from './whatsapp-client.ts'

export type OutgoingContent = Pick<
  OutgoingMessage,
  'recipient' | 'type' | 'content' | 'replyTo' | 'mentions' | 'whatsappId' | 'linkPreview'
>

/** `lid`: the recipient's, where it is known. */
export type SentContent = OutgoingContent & { lid?: string | null }

/** @throws AppError `not_yet_supported` for a type this client cannot send */
export function toBaileysContent(message: OutgoingContent): AnyMessageContent {
  const text = message.type === 'text' ? bodyOf(message.content['text']) : undefined
  if (text === undefined) throw new AppError('not_yet_supported', `Messages of type ${message.type} cannot be sent.`)
  // Null, not left out: otherwise Baileys fetches whatever address the text holds.
  const content = { text, linkPreview: message.linkPreview ? urlInfoOf(message.linkPreview) : null }
  return message.mentions.length === 0 ? content : { ...content, mentions: message.mentions.map(jidOfPhoneNumber) }
}

function urlInfoOf({ matchedText, canonicalUrl, title, description }: LinkPreview): WAUrlInfo {
  const required = { 'matched-text': matchedText, 'canonical-url': canonicalUrl, title }
  return description === null ? required : { ...required, description }
}

export function quotedBy(message: OutgoingContent): { quoted?: WAMessage } {
  const { replyTo, recipient } = message
  if (!replyTo) return {}
  const { whatsappId, fromMe, participant, text } = replyTo
  const key = { id: whatsappId, remoteJid: recipient, fromMe, ...(participant ? { participant } : {}) }
  return { quoted: { key, message: { conversation: text } } }
}

/** The message as it was sent, for a retry: the same words under the same id. */
export async function toProto(message: OutgoingContent, userJid: string): Promise<proto.IMessage | undefined> {
  const full = await generateWAMessage(message.recipient, toBaileysContent(message), {
    userJid,
    messageId: message.whatsappId,
    upload: () => Promise.reject(new Error('nothing to upload')),
    ...quotedBy(message),
  })
  return full.message ?? undefined
}

function bodyOf(value: unknown): string | undefined {
  const body = typeof value === 'object' && value !== null && 'body' in value ? value.body : undefined
  return typeof body === 'string' ? body : undefined
}
