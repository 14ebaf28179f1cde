// `/phones/{n}/messages` and `/phones/{n}/read`: what a phone shows, and what its person writes and reads.
import { z } from 'zod'
import { isoTime } from '../../platform/clock.ts'
import type { ShownMessage } from '../phones/chat-log.ts'
import type { OutgoingContent } from '../phones/outgoing-content.ts'
import type { PhoneBook } from '../phones/phone-book.ts'
import { PhoneError } from '../phones/phone-error.ts'
import { phoneNumberSchema, recipientSchema } from './phone-number.ts'
import { phoneOf } from './phones.ts'
import { parse, readBody } from './request.ts'
import type { Route } from './router.ts'

const id = z.string().regex(/^[\w.-]{1,64}$/, 'must be a message id')
const text = z.string().min(1).max(65_536)
const newMessageSchema = z
  .strictObject({
    to: recipientSchema,
    /** How the recipient is addressed on the wire. A LID in `to` means `lid`. */
    addressing: z.enum(['pn', 'lid']).optional(),
    id: id.optional(),
    text: text.optional(),
    replyTo: id.optional(),
    location: z
      .strictObject({
        latitude: z.number().min(-90).max(90),
        longitude: z.number().min(-180).max(180),
        name: z.string().max(200).optional(),
      })
      .optional(),
    reaction: z.strictObject({ id, emoji: z.string().max(32) }).optional(),
    edit: z.strictObject({ id, text }).optional(),
    delete: z.strictObject({ id }).optional(),
  })
  .refine((body) => contentKinds.filter((kind) => body[kind] !== undefined).length === 1, {
    error: 'exactly one of text, location, reaction, edit and delete must be given',
  })
const contentKinds = ['text', 'location', 'reaction', 'edit', 'delete'] as const
const listSchema = z.object({
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(5_000).default(5_000),
  chat: z.union([phoneNumberSchema, z.string().regex(/^[\d-]+@g\.us$/)]).optional(),
})
const readSchema = z.union([z.strictObject({ id }), z.strictObject({ chat: phoneNumberSchema })])

export function messageRoutes(phones: PhoneBook): Route[] {
  return [
    {
      method: 'GET',
      path: '/phones/{phoneNumber}/messages',
      handle: (request) => {
        const { after, limit, chat } = parse(listSchema, Object.fromEntries(request.query))
        const messages = phoneOf(phones, request).chats.list(after, chat)
        return {
          status: 200,
          body: messages
            .slice(after > 0 ? 0 : -limit)
            .slice(0, limit)
            .map(presentMessage),
        }
      },
    },
    {
      method: 'POST',
      path: '/phones/{phoneNumber}/messages',
      handle: async (request) => {
        const phone = phoneOf(phones, request)
        const body = await readBody(request.raw, newMessageSchema)
        const { user: to, isLid } = body.to
        const addressing = body.addressing ?? (isLid ? 'lid' : 'pn')
        const sentId = await phone.send({ to, addressing, content: contentOf(body), ...(body.id ? { id: body.id } : {}) })
        const shown = phone.chats.find(sentId, true)
        return { status: 201, body: shown ? presentMessage(shown) : { id: sentId } }
      },
    },
    {
      method: 'POST',
      path: '/phones/{phoneNumber}/read',
      handle: async (request) => {
        const phone = phoneOf(phones, request)
        const body = await readBody(request.raw, readSchema)
        if ('id' in body) {
          phone.read(body.id)
          return { status: 200, body: { read: [body.id] } }
        }
        const unread = phone.chats.list(0, body.chat).filter((message) => !message.isRead)
        for (const message of unread) phone.read(message.id)
        return { status: 200, body: { read: unread.map((message) => message.id) } }
      },
    },
  ]
}

function contentOf(body: z.output<typeof newMessageSchema>): OutgoingContent {
  if (body.text !== undefined) return { kind: 'text', text: body.text, ...(body.replyTo ? { replyTo: body.replyTo } : {}) }
  if (body.reaction) return { kind: 'reaction', targetId: body.reaction.id, emoji: body.reaction.emoji }
  if (body.edit) return { kind: 'edit', targetId: body.edit.id, text: body.edit.text }
  if (body.delete) return { kind: 'delete', targetId: body.delete.id }
  if (body.location) {
    const { latitude, longitude, name } = body.location
    return { kind: 'location', latitude, longitude, ...(name ? { name } : {}) }
  }
  throw new PhoneError('message_not_found')
}

function presentMessage(message: ShownMessage) {
  const { senderJid, isRead, ...shown } = message
  return { ...shown, fromJid: senderJid, read: isRead, at: isoTime(message.at) }
}
