// Schema parts that every resource uses: ids, times, texts, pages and problems.
import { z } from 'zod'
import { errorTable, type ErrorCode } from '../../platform/errors.ts'
import type { IdPrefix } from '../../platform/id.ts'

const exampleId = '01k5x8m2t7qv3n9c4d6fhj8rwz'

export function idField(prefix: IdPrefix) {
  return z
    .string()
    .regex(new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`))
    .meta({ example: `${prefix}_${exampleId}` })
}

/** Without NUL and half surrogate pairs, which no store keeps as they are. */
const storable = /^[^\u0000\ud800-\udfff]*$/u // oxlint-disable-line no-control-regex -- that is the point

/** Text of any language, possibly empty. */
export function looseTextField(maxLength: number) {
  return z.string().max(maxLength).regex(storable, 'holds a character that is not text')
}

export function textField(maxLength: number) {
  return looseTextField(maxLength).min(1)
}

/** A time in an answer. */
export const timeField = z.iso.datetime({ precision: 3 }).meta({ example: '2026-11-23T08:15:30.000Z' })

/** A time in a request, with any offset → milliseconds since the epoch. */
export const timeInput = z.iso
  .datetime({ offset: true })
  .max(40)
  .transform((text) => Date.parse(text))
  .meta({ example: '2026-11-23T08:15:30.000Z' })

export const phoneNumberField = z
  .string()
  .regex(/^\d{7,15}$/)
  .meta({ example: '254712345678' })

/** As people write it; parsed and checked by the handler. */
export const phoneNumberInput = z.string().min(1).max(100).meta({ example: '+254 712 345 678' })

export const pageQuery = {
  limit: z
    .string()
    .regex(/^\d{1,3}$/, 'must be a number from 1 to 200')
    .transform(Number)
    .pipe(z.int().min(1).max(200))
    .default(50)
    .meta({ description: 'How many at most.', override: { type: 'integer', minimum: 1, maximum: 200, default: 50 } }),
  cursor: z
    .string()
    .regex(/^[\w.~=-]{1,500}$/)
    .optional()
    .meta({ description: '`nextCursor` of the page before.' }),
}

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ data: z.array(item), nextCursor: z.string().nullable() })
}

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.enum(Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]]).meta({ description: 'Stable; see /docs/errors.' }),
    requestId: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    oldestCursor: z.string().optional().meta({ description: 'With `cursor_expired`: where to read on.' }),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details.' })
