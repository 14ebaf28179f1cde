// Messages and contacts, as requests and answers; what is not supported yet has its place here already.
import { z } from 'zod'
import { holders, lanes, messageStatuses } from '../../store/message-store.ts'
import { idField, pageQuery, phoneNumberField, phoneNumberInput, textField, timeField, timeInput } from './field-schemas.ts'

const contentTypes = [
  'text',
  'image',
  'video',
  'audio',
  'voice',
  'document',
  'sticker',
  'location',
  'contact',
  'poll',
  'reaction',
  'edit',
  'delete',
] as const
export type ContentType = (typeof contentTypes)[number]
export const otherContentTypes = contentTypes.filter((type) => type !== 'text')

const notYet = 'Not supported yet.'
const laterContent = z.record(z.string(), z.unknown()).optional().meta({ description: notYet })
const laterContents = Object.fromEntries(otherContentTypes.map((type) => [type, laterContent])) as Record<
  Exclude<ContentType, 'text'>,
  typeof laterContent
>

const text = z.strictObject({
  body: textField(65_536),
  linkPreview: z
    .boolean()
    .default(false)
    .meta({ description: 'Show title and description of the first http(s) address, when its page can be fetched within 3 s.' }),
})

const idempotencyKey = /^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$/

const messageShape = {
  to: z.string().min(1).max(100).meta({
    description: 'A phone number with its country code, or an address that ends in @s.whatsapp.net, @c.us, @lid or @g.us.',
    example: '+254 712 345 678',
  }),
  type: z.enum(contentTypes).meta({ description: 'Only `text` is supported yet.' }),
  text: text.optional(),
  ...laterContents,
  replyTo: z
    .string()
    .regex(/^[\w.-]{1,100}$/)
    .optional()
    .meta({ description: 'A message id, or a WhatsApp id.' }),
  mentions: z.array(phoneNumberInput).max(100).optional(),
  priority: z.enum(lanes).default('normal').meta({
    description: '`high` leaves before `normal`, `normal` before `bulk`; each in the order in which it was accepted.',
  }),
  sendAt: timeInput.optional().meta({ description: 'Not before this time, within a year. One that has passed means now.' }),
  expiresAt: timeInput.optional().meta({ description: 'Worthless afterwards: it is never sent after this time.' }),
  clientReference: textField(255).optional().meta({ description: 'Yours; given back with the message.' }),
}

export const sendMessageBody = z.strictObject(messageShape).meta({ id: 'MessageSend' })
export type SendMessageBody = z.output<typeof sendMessageBody>

export const batchItemBody = z
  .strictObject({ ...messageShape, idempotencyKey: z.string().regex(idempotencyKey).optional() })
  .meta({ id: 'MessageBatchItem' })

/** Each item is parsed for itself: one that does not fit is refused alone. */
const batchItem = z.union([
  batchItemBody.transform((fitting) => ({ fitting })),
  z.unknown().transform((unfitting) => ({ unfitting })),
])
export type BatchItem = z.output<typeof batchItem>

export const batchBody = z.strictObject({ messages: z.array(batchItem).min(1).max(1_000) }).meta({ id: 'MessageBatch' })

export const sendHeaders = z.object({
  'Idempotency-Key': z
    .string()
    .regex(idempotencyKey)
    .optional()
    .meta({ description: 'At most 255 visible characters. The same key and body within 24 hours is one message.' }),
})

export const listMessagesQuery = z.strictObject({
  ...pageQuery,
  status: z.enum(messageStatuses).optional(),
  to: z.string().min(1).max(100).optional().meta({ description: 'The chat: a number or an address, as when sending.' }),
  since: timeInput.optional().meta({ description: 'Only messages made at this time or later.' }),
  direction: z.enum(['inbound', 'outbound']).optional(),
})

export const readQueueQuery = z.strictObject({ limit: pageQuery.limit })

const address = z.object({
  input: z.string(),
  phoneNumber: z.string().nullable(),
  lid: z.string().nullable(),
  groupId: z.string().optional(),
})

const changed = z.string().nullable().meta({ description: 'The WhatsApp id of the message that this one is about.' })

const outcomeTime = timeField.nullable()

export const messageSchema = z
  .object({
    id: idField('msg'),
    sessionId: idField('ses'),
    direction: z.enum(['inbound', 'outbound']),
    to: address.optional(),
    from: address.optional(),
    type: z.string(),
    text: z.object({ body: z.string(), linkPreview: z.boolean().optional() }).optional(),
    reaction: z
      .object({ whatsappId: changed, emoji: z.string().meta({ description: 'Empty when a reaction was taken back.' }) })
      .optional(),
    edit: z.object({ whatsappId: changed }).optional().meta({ description: 'The new content stands beside it.' }),
    delete: z.object({ whatsappId: changed }).optional(),
    status: z.enum(messageStatuses),
    whatsappId: z.string(),
    priority: z.enum(lanes),
    position: z.int().min(0).nullable().meta({ description: 'How many leave before it; null when it is not queued.' }),
    estimatedSendAt: timeField.nullable().meta({ description: 'When it is expected to leave; null when nobody can know.' }),
    heldBy: z.enum(holders).optional(),
    heldUntil: timeField.optional(),
    error: z.object({ code: z.string(), detail: z.string() }).optional(),
    clientReference: z.string().nullable(),
    replyTo: z.string().nullable(),
    mentions: z.array(z.string()).optional(),
    sendAt: timeField.optional(),
    expiresAt: timeField.optional(),
    timestamps: z.record(z.string(), outcomeTime).meta({ description: '`queuedAt`, `sentAt`, `deliveredAt`, …' }),
  })
  .meta({ id: 'Message' })

export const queueSchema = z
  .object({
    next: z.array(messageSchema).meta({ description: 'Sending ones, then queued ones: the next one to leave first.' }),
    queueDepth: z.int().min(0).meta({ description: 'Queued and sending, those not shown as well.' }),
    scheduled: z.array(messageSchema).meta({ description: 'The soonest first.' }),
    scheduledCount: z.int().min(0).meta({ description: 'Scheduled, those not shown as well.' }),
  })
  .meta({ id: 'Queue' })

export const batchResultsSchema = z
  .object({
    results: z.array(
      z.object({
        status: z.int().meta({ description: '202, or what the same request alone would have been answered.' }),
        replayed: z.boolean().optional().meta({ description: '`true` when it had been accepted before.' }),
        message: messageSchema.optional(),
        error: z
          .object({
            code: z.string(),
            detail: z.string(),
            errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
            retryAfterSeconds: z.int().min(1).optional().meta({ description: 'What `Retry-After` would say.' }),
          })
          .optional(),
      }),
    ),
  })
  .meta({ id: 'MessageBatchResults' })

export const checkContactsBody = z
  .strictObject({ phoneNumbers: z.array(phoneNumberInput).min(1).max(50) })
  .meta({ id: 'ContactCheck' })

export const checkedContactsSchema = z.array(
  z.object({ phoneNumber: phoneNumberField, exists: z.boolean(), lid: z.string().nullable() }),
)
