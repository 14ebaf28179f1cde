// Sessions, their settings and their keys, as requests and answers.
import { z } from 'zod'
import { scopes } from '../../store/key-store.ts'
import { sessionStatuses } from '../../store/session-store.ts'
import { healthLevelField, healthReasonSchema } from './health-schemas.ts'
import { idField, looseTextField, phoneNumberField, phoneNumberInput, textField, timeField, timeInput } from './field-schemas.ts'

const pacing = (value: z.ZodNumber, what: string) =>
  value.nullable().meta({ description: `${what} null: off. Faster than the default takes an admin key.` })

const maxMetadataKeys = 50

const metadataRecord = z
  .record(
    textField(100).refine((name) => !name.startsWith('$'), 'begins with $'),
    looseTextField(500),
  )
  .refine((value) => Object.keys(value).length <= maxMetadataKeys, `has more than ${maxMetadataKeys} keys`)
  .meta({ description: `Your own data, at most ${maxMetadataKeys} keys.`, maxProperties: maxMetadataKeys })

/** zod leaves this key out of records without a word. */
const metadata = z.preprocess((value, context) => {
  if (typeof value === 'object' && value !== null && Object.hasOwn(value, '__proto__')) {
    context.addIssue({ code: 'custom', path: ['__proto__'], message: 'is no possible name' })
  }
  return value
}, metadataRecord)

const settingsShape = {
  messagesPerMinute: pacing(z.number().min(0.1).max(10_000), 'Messages a minute.'),
  burst: pacing(z.int().min(1).max(1_000), 'Messages that may go at once after a pause.'),
  perRecipientSeconds: pacing(z.number().positive().max(86_400), 'Seconds between two messages to one recipient.'),
  newContactsPerDay: z
    .union([z.literal('warmup'), z.int().min(0).max(100_000)])
    .nullable()
    .meta({ description: 'First messages to strangers a day (UTC). `warmup`: 20, rising to 200 within 14 days. null: off.' }),
  typing: z.boolean().meta({ description: 'Show "typing…" to people before a text, for as long as suits it (0.5 to 2.5 s).' }),
  maxQueueDepth: z.int().min(1).max(1_000_000).meta({ description: 'Messages that may wait; more are refused with 429.' }),
  markOnline: z.boolean().meta({ description: 'Show the account as online while connected.' }),
  pairingTimeoutSeconds: z.int().min(30).max(86_400).meta({ description: 'How long QR codes are renewed.' }),
}

const proxyUrlInput = z
  .string()
  .max(2_000)
  .nullable()
  .meta({
    description:
      'Connect to WhatsApp through this proxy, never without it: `http://`, `https://` (CONNECT), `socks5://` or `socks5h://`, with user and ' +
      'password when it wants them. The password is write-only: `***` is shown for it, and the URL sent back so keeps it. null: none. Admin only.',
  })

const settingsInput = z.strictObject({ ...settingsShape, proxyUrl: proxyUrlInput }).partial()

const settings = z.object({
  ...settingsShape,
  proxyUrl: z.string().optional().meta({ description: 'Its password is shown as `***`.' }),
})

const displayName = textField(100)

export const createSessionBody = z
  .strictObject({
    displayName,
    webhookUrl: z.string().max(2_048).optional().meta({ description: 'Gets every event but QR and pairing codes.' }),
    pairingPhoneNumber: phoneNumberInput.optional().meta({ description: 'The number that will be paired by code.' }),
    settings: settingsInput.optional(),
    metadata: metadata.optional(),
  })
  .meta({ id: 'SessionCreate' })

export const editSessionBody = z
  .strictObject({ displayName, settings: settingsInput, metadata })
  .partial()
  .meta({ id: 'SessionEdit', description: '`settings` are changed one by one, `metadata` as a whole.' })

const sessionShape = {
  id: idField('ses'),
  displayName: z.string(),
  status: z.enum(sessionStatuses),
  statusReason: z.string().optional(),
  phoneNumber: phoneNumberField.nullable(),
  lid: z.string().nullable(),
  pushName: z.string().nullable(),
  restriction: z.object({ reason: z.string(), until: timeField }).optional(),
  health: z
    .object({ score: z.int().min(0).max(100), level: healthLevelField, reason: healthReasonSchema.nullable(), at: timeField })
    .nullable()
    .meta({ description: 'As of the last change; null before the first score. All of it: `GET /v1/sessions/{id}/health`.' }),
  settings,
  metadata: z.record(z.string(), z.string()),
  createdAt: timeField,
  lastConnectedAt: timeField.nullable(),
  lastEventAt: timeField.nullable(),
}

export const sessionSchema = z.object(sessionShape).meta({ id: 'Session' })

/** What the list of all sessions shows of each. */
export const sessionLineSchema = sessionSchema
  .pick({
    id: true,
    displayName: true,
    status: true,
    statusReason: true,
    phoneNumber: true,
    restriction: true,
    health: true,
    lastEventAt: true,
  })
  .extend({ queueDepth: z.int().min(0).meta({ description: 'Queued and sending messages.' }) })
  .meta({ id: 'SessionLine' })

export const createdSessionSchema = z
  .object({
    ...sessionShape,
    apiKey: z.string().meta({ description: 'Shown once.' }),
    webhookSecret: z.string().optional().meta({ description: 'Shown once; only with `webhookUrl`.' }),
  })
  .meta({ id: 'CreatedSession' })

export const qrSchema = z.object({ qr: z.string(), expiresAt: timeField }).meta({ id: 'QrCode' })

export const pairingCodeSchema = z
  .object({ code: z.string().meta({ example: 'ABCD-EFGH' }), expiresAt: timeField })
  .meta({ id: 'PairingCode' })

export const createKeyBody = z
  .strictObject({
    scopes: z.array(z.enum(scopes)).min(1).max(scopes.length),
    expiresAt: timeInput.optional().meta({ description: 'No later than the expiry of your own key.' }),
  })
  .meta({ id: 'KeyCreate' })

const keyShape = {
  id: idField('key'),
  prefix: z.string().meta({ description: 'First characters of the key.' }),
  scopes: z.array(z.enum(scopes)),
  expiresAt: timeField.nullable(),
  createdAt: timeField,
}

export const keySchema = z.object(keyShape).meta({ id: 'Key' })

export const issuedKeySchema = z
  .object({ ...keyShape, key: z.string().meta({ description: 'Shown once.' }) })
  .meta({ id: 'IssuedKey' })
