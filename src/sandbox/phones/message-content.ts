// What a decrypted message means to the person who looks at the phone: a type, a text, or a change to an earlier message.
import { normalizeMessageContent, proto } from '@whiskeysockets/baileys'

/** The card of a link above the text. */
export interface ShownPreview {
  url: string
  title: string
  description: string
}

export type Content =
  | { kind: 'shown'; type: string; text: string; replyTo?: string; linkPreview?: ShownPreview }
  | { kind: 'reaction'; targetId: string; emoji: string }
  | { kind: 'edit'; targetId: string; text: string }
  | { kind: 'delete'; targetId: string }
  /** Nothing for a person: keys, history, settings. */
  | { kind: 'hidden' }

type Inner = proto.IMessage

/** The first of these fields that is there decides. The names on the left are the API's own. */
const readers: [type: string, read: (message: Inner) => string | null | undefined][] = [
  ['text', (m) => m.conversation || m.extendedTextMessage?.text],
  ['image', (m) => m.imageMessage && (m.imageMessage.caption ?? '')],
  ['video', (m) => m.videoMessage && (m.videoMessage.caption ?? '')],
  ['voice', (m) => (m.audioMessage?.ptt ? '' : undefined)],
  ['audio', (m) => m.audioMessage && ''],
  ['document', (m) => m.documentMessage && (m.documentMessage.caption || m.documentMessage.fileName || '')],
  ['sticker', (m) => m.stickerMessage && ''],
  ['location', (m) => m.locationMessage && placeText(m.locationMessage)],
  ['contact', (m) => m.contactMessage && (m.contactMessage.displayName ?? '')],
  ['contact', (m) => m.contactsArrayMessage && (m.contactsArrayMessage.displayName ?? '')],
  ['poll', (m) => pollText(m.pollCreationMessage ?? m.pollCreationMessageV2 ?? m.pollCreationMessageV3)],
]

export function readContent(message: Inner): Content {
  const inner = normalizeMessageContent(message) ?? {}
  const change = readChange(inner)
  if (change) return change
  for (const [type, read] of readers) {
    const text = read(inner)
    if (typeof text === 'string') return { kind: 'shown', type, text, ...replyOf(inner), ...previewOf(inner) }
  }
  const name = Object.entries(inner).find(([key, value]) => value && !notForPeople.has(key))?.[0]
  return name ? { kind: 'shown', type: name.replace(/Message(V\d)?$/, ''), text: '' } : { kind: 'hidden' }
}

const notForPeople = new Set(['senderKeyDistributionMessage', 'messageContextInfo', 'protocolMessage', 'conversation'])

function readChange(inner: Inner): Content | undefined {
  const { reactionMessage, protocolMessage } = inner
  if (reactionMessage?.key?.id) return { kind: 'reaction', targetId: reactionMessage.key.id, emoji: reactionMessage.text ?? '' }
  const targetId = protocolMessage?.key?.id
  if (!protocolMessage || !targetId) return protocolMessage ? { kind: 'hidden' } : undefined
  const { Type } = proto.Message.ProtocolMessage
  if (protocolMessage.type === Type.REVOKE) return { kind: 'delete', targetId }
  if (protocolMessage.type !== Type.MESSAGE_EDIT) return { kind: 'hidden' }
  const edited = protocolMessage.editedMessage ? readContent(protocolMessage.editedMessage) : undefined
  return { kind: 'edit', targetId, text: edited?.kind === 'shown' ? edited.text : '' }
}

function replyOf(inner: Inner): { replyTo?: string } {
  for (const part of Object.values(inner)) {
    const context = (part as { contextInfo?: proto.IContextInfo } | null)?.contextInfo
    if (context?.stanzaId) return { replyTo: context.stanzaId }
  }
  return {}
}

function previewOf({ extendedTextMessage: text }: Inner): { linkPreview?: ShownPreview } {
  if (!text?.matchedText || !text.title) return {}
  return { linkPreview: { url: text.matchedText, title: text.title, description: text.description ?? '' } }
}

function placeText(place: proto.Message.ILocationMessage): string {
  const point = `${place.degreesLatitude ?? 0}, ${place.degreesLongitude ?? 0}`
  return [place.name, place.address, point].filter(Boolean).join(' – ')
}

function pollText(poll: proto.Message.IPollCreationMessage | null | undefined): string | undefined {
  if (!poll) return undefined
  return [poll.name ?? '', ...(poll.options ?? []).map((option) => `○ ${option.optionName ?? ''}`)].join('\n')
}
