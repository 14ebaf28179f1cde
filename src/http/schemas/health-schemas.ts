// The health of a session, as an answer.
import { z } from 'zod'
import { healthWindows, type HealthWindow } from '../../health/read-health.ts'
import { levels } from '../../health/weights.ts'
import { sessionStatuses } from '../../store/session-store.ts'
import { timeField } from './field-schemas.ts'

export const healthLevelField = z.enum(levels.map(({ level }) => level))

export const healthReasonSchema = z
  .object({
    code: z.string().meta({ description: 'Stable; see docs/health.md.' }),
    points: z.int().min(1).max(100),
    text: z.string(),
  })
  .meta({ id: 'HealthReason' })

export const healthQuery = z.strictObject({
  window: z
    .enum(Object.keys(healthWindows) as [HealthWindow, ...HealthWindow[]])
    .default('1h')
    .meta({ description: 'How far back signals and history look. The score always looks at the last hour.' }),
})

const secondsField = z.int().min(0)

const signals = z.object({
  state: z.enum(sessionStatuses),
  statusReason: z.string().nullable(),
  isRestricted: z.boolean(),
  isHeld: z.boolean().meta({ description: 'A living worker holds it.' }),
  notConnectedSeconds: secondsField.meta({ description: 'Since when it should be connected and is not.' }),
  uptimePercent: z.number().min(0).max(100).nullable().meta({ description: 'Of the time it should have been connected.' }),
  downSeconds: secondsField,
  reconnectCount: z.int().min(0),
  deliveryRate: z.number().min(0).max(1).nullable().meta({
    description: 'Delivered, of the messages that WhatsApp acknowledged more than two minutes ago; null with fewer than five.',
  }),
  ackLatencyMsP95: z
    .number()
    .nullable()
    .meta({ description: 'From `sending` to acknowledgement, typing included, 95th percentile.' }),
  unackedSeconds: secondsField.meta({
    description: 'For how long WhatsApp has acknowledged nothing although messages were sent.',
  }),
  unackedReconnects: z.int().min(0),
  secondsSinceLastEvent: secondsField.nullable(),
  heartbeatAgeSeconds: secondsField.nullable().meta({ description: 'Since WhatsApp was last heard.' }),
  queueDepth: z.int().min(0),
  oldestQueuedSeconds: secondsField.nullable(),
  stalledSeconds: secondsField.meta({ description: 'For how long nothing has left although something may.' }),
})

export const healthSchema = z
  .object({
    score: z.int().min(0).max(100).meta({ description: '100 minus the points of the reasons.' }),
    level: healthLevelField,
    reasons: z.array(healthReasonSchema).meta({ description: 'What costs most comes first.' }),
    signals,
    connections: z.array(z.object({ from: timeField, until: timeField, state: z.enum(['up', 'down', 'off']) })).meta({
      description: 'When it was connected, oldest first. `off`: closed on request. What no period covers is not known.',
    }),
    history: z
      .array(
        z.object({
          at: timeField,
          score: z.int().min(0).max(100),
          sentCount: z.int().min(0).nullable().meta({ description: 'Messages acknowledged since the entry before.' }),
          receivedCount: z.int().min(0).nullable(),
          actions: z
            .array(z.object({ action: z.string(), reason: z.string() }))
            .optional()
            .meta({ description: 'What the watchdog did about it.' }),
        }),
      )
      .meta({ description: 'Oldest first; the older, the fewer, and of those put together the worst.' }),
  })
  .meta({ id: 'Health' })
