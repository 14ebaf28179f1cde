// For how long the recipient sees "typing…" before a text; pure rules, no I/O.
import type { MessageRecord } from '../store/message-store.ts'
import { kindOfJid } from '../whatsapp/address.ts'
import { jitterOf } from './pacing.ts'

const perCharacterMs = 40
/** Jitter stays within these. The longest pause is still no slow acknowledgement to the health score. */
const shortestMs = 500
const longestMs = 2_500
const jitterShare = 0.2

/** The same on every try. 0: nobody is shown anything, as in a group. */
export function typingMsOf({
  id,
  type,
  content,
  recipient,
}: Pick<MessageRecord, 'id' | 'type' | 'content' | 'recipient'>): number {
  if (type !== 'text' || kindOfJid(recipient) === 'group') return 0
  const text = content['text'] as { body?: unknown } | undefined
  const body = typeof text?.body === 'string' ? text.body : ''
  const wantedMs = body.length * perCharacterMs * (1 + jitterOf(id) * jitterShare)
  return Math.round(Math.min(Math.max(wantedMs, shortestMs), longestMs))
}

/** What one of these takes, when nothing is known of the others: the texts of a queue are alike. */
export function typicalTypingMs(messages: readonly Pick<MessageRecord, 'id' | 'type' | 'content' | 'recipient'>[]): number {
  if (messages.length === 0) return 0
  return messages.reduce((sum, message) => sum + typingMsOf(message), 0) / messages.length
}
