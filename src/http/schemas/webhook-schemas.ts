// Webhook endpoints and deliveries, as requests and answers.
import { z } from 'zod'
import { eventTypes } from '../../store/event-store.ts'
import { idField, pageQuery, timeField, timeInput } from './field-schemas.ts'

const url = z.string().min(1).max(2_048).meta({ example: 'https://example.com/whatsapp' })
const events = z
  .array(z.string().min(1).max(50))
  .min(1)
  .max(50)
  .meta({ description: 'Event types, `message.*`, or `*`.', example: ['message.*'] })
const headers = z
  .record(z.string().max(100), z.string().max(4_096))
  .meta({ description: 'Sent with every delivery. Write-only.' })

export const createEndpointBody = z.strictObject({ url, events, headers: headers.optional() }).meta({ id: 'WebhookCreate' })

export const editEndpointBody = z
  .strictObject({ url, events, headers, enabled: z.boolean() })
  .partial()
  .meta({ id: 'WebhookEdit' })

const deliveryStatuses = ['pending', 'succeeded', 'failed', 'dead'] as const

export const listDeliveriesQuery = z.strictObject({ ...pageQuery, status: z.enum(deliveryStatuses).optional() })

const endpointShape = {
  id: idField('whk'),
  sessionId: idField('ses').nullable().meta({ description: 'null: of the whole fleet.' }),
  url: z.string(),
  events: z.array(z.string()),
  hasHeaders: z.boolean(),
  enabled: z.boolean(),
  disabledReason: z.string().nullable(),
  failingSince: timeField.nullable(),
  lastSuccessAt: timeField.nullable(),
  previousSecretUntil: timeField.nullable(),
  breaker: z
    .object({
      state: z.enum(['closed', 'open', 'half-open']),
      openUntil: timeField.nullable(),
      consecutiveFailureCount: z.int().min(0),
    })
    .nullable(),
  createdAt: timeField,
  updatedAt: timeField,
}

export const endpointSchema = z.object(endpointShape).meta({ id: 'Webhook' })

export const createdEndpointSchema = z
  .object({ ...endpointShape, secret: z.string().meta({ description: '`whsec_…`, shown once.' }) })
  .meta({ id: 'CreatedWebhook' })

export const deliverySchema = z
  .object({
    id: idField('dlv'),
    eventId: idField('evt'),
    eventType: z.enum(eventTypes),
    endpointId: idField('whk'),
    sessionId: idField('ses'),
    replayId: idField('rpl').nullable(),
    status: z.enum(deliveryStatuses),
    deadReason: z.string().nullable(),
    attemptCount: z.int().min(0),
    nextAttemptAt: timeField.nullable(),
    attempts: z.array(
      z.object({
        at: timeField,
        status: z.int().nullable(),
        durationMs: z.number(),
        error: z.string().nullable(),
        answer: z.string().nullable(),
      }),
    ),
    createdAt: timeField,
    updatedAt: timeField,
  })
  .meta({ id: 'Delivery' })

export const testResultSchema = z
  .object({
    eventId: idField('evt'),
    succeeded: z.boolean(),
    at: timeField,
    status: z.int().nullable(),
    durationMs: z.number(),
    error: z.string().nullable(),
    answer: z.string().nullable(),
  })
  .meta({ id: 'WebhookTest' })

export const startReplayBody = z
  .strictObject({ since: timeInput, until: timeInput.optional(), types: events.optional() })
  .meta({ id: 'ReplayCreate' })

export const replaySchema = z
  .object({
    id: idField('rpl'),
    endpointId: idField('whk'),
    sessionId: idField('ses').nullable(),
    since: timeField,
    until: timeField,
    types: z.array(z.enum(eventTypes)),
    status: z.enum(['running', 'finished', 'stopped']),
    deliveryCount: z.int().min(0).meta({ description: 'Deliveries made so far.' }),
    createdAt: timeField,
    updatedAt: timeField,
  })
  .meta({ id: 'Replay' })
