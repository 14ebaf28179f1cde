// The event log, as requests and answers.
import { z } from 'zod'
import { eventTypes } from '../../store/event-store.ts'
import { idField, pageQuery, timeField } from './field-schemas.ts'

const place = z.string().regex(/^[\w.~=-]{1,500}$/)
const types = z
  .string()
  .min(1)
  .max(1_000)
  .transform((text) => text.split(','))
  .meta({ description: 'Types and groups such as `message.*`, separated by commas.', example: 'message.*,session.status' })

export const listEventsQuery = z.strictObject({
  limit: pageQuery.limit,
  after: place.optional().meta({
    description:
      'Read on from here: `nextCursor` of the page before, or under a session a sequence. Left out: the oldest event kept.',
  }),
  types: types.optional(),
})

export const streamEventsQuery = z.strictObject({
  after: place.optional().meta({ description: 'As in the list. Left out, and without `Last-Event-ID`: from now on.' }),
  types: types.optional(),
})

export const streamHeaders = z.object({
  'Last-Event-ID': place.optional().meta({ description: 'The last `id` that was read; browsers send it when they come back.' }),
})

const eventSchema = z
  .object({
    id: idField('evt'),
    type: z.enum(eventTypes),
    timestamp: timeField,
    sessionId: idField('ses'),
    sequence: z.int().min(1).meta({ description: 'Rises by one with each event of the session.' }),
    data: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'Event' })

export const eventPageSchema = z.object({
  data: z.array(eventSchema),
  nextCursor: z.string().meta({ description: 'Never null: the place to read on from, now or later.' }),
  hasMore: z.boolean().meta({ description: 'There are more already.' }),
})
