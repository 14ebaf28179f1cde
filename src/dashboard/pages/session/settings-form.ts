// The settings form's fields, and reading them back: only what was changed is sent.
import { textOf } from '../../parts/form.ts'
import type { Settings } from '../../api/resources.ts'

export const pacingFields = [
  { name: 'messagesPerMinute', label: 'Messages a minute', help: 'All messages of this session together.', min: 0, max: 10_000 },
  { name: 'burst', label: 'At once after a pause', help: 'How many may leave without waiting.', min: 1, max: 1_000 },
  {
    name: 'perRecipientSeconds',
    label: 'Seconds per recipient',
    help: 'Between two messages to one person.',
    min: 0,
    max: 86_400,
  },
  {
    name: 'newContactsPerDay',
    label: 'New contacts a day',
    help: 'A number, or “warmup”: from 20 to 200 over 14 days.',
    min: 0,
    max: 100_000,
  },
] as const

export function readSettings(fields: FormData, before: Settings): Partial<Settings> {
  const pace = (name: string): number | 'warmup' | null => {
    const text = textOf(fields, name)
    if (text === '') return null
    return text === 'warmup' ? text : Number(text)
  }
  const after = {
    messagesPerMinute: pace('messagesPerMinute'),
    burst: pace('burst'),
    perRecipientSeconds: pace('perRecipientSeconds'),
    newContactsPerDay: pace('newContactsPerDay'),
    typing: fields.has('typing'),
    markOnline: fields.has('markOnline'),
    maxQueueDepth: Number(fields.get('maxQueueDepth')),
    pairingTimeoutSeconds: Number(fields.get('pairingTimeoutSeconds')),
    proxyUrl: textOf(fields, 'proxyUrl') || null,
  }
  const known = { ...before, proxyUrl: before.proxyUrl ?? null }
  return Object.fromEntries(Object.entries(after).filter(([name, value]) => known[name as keyof Settings] !== value))
}
