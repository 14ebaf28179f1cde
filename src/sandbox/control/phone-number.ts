// Phone numbers as people write them, and the digits they mean.
import { z } from 'zod'

/** `+254 712 345 678`, `(254) 712-345678` or a JID's user part: 7 to 15 digits remain. */
export const phoneNumberSchema = z
  .string()
  .trim()
  .max(40)
  .regex(/^\+?[\d\s().-]+$/, 'must be a phone number with its country code')
  .transform((text) => text.replace(/\D/g, ''))
  .pipe(z.string().regex(/^[1-9]\d{6,14}$/, 'must have 7 to 15 digits, the country code first'))

/** Whom a message goes to: a phone number, or a JID of either addressing. */
export const recipientSchema = z
  .string()
  .max(60)
  .transform((text, context) => {
    const jid = /^(\d{5,20})(?::\d{1,2})?@(s\.whatsapp\.net|c\.us|lid)$/.exec(text.trim())
    if (jid) return { user: jid[1] ?? '', isLid: jid[2] === 'lid' }
    const number = phoneNumberSchema.safeParse(text)
    if (number.success) return { user: number.data, isLid: false }
    context.addIssue({ code: 'custom', message: 'must be a phone number or a JID' })
    return z.NEVER
  })
