// The message's state machine: forward only, whatever order things arrive in.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { advanced, canAdvance } from '../../src/store/message-status.ts'
import { messageStatuses, type MessageStatus, type StatusChange } from '../../src/store/message-store.ts'
import { newMessage } from '../support/records.ts'

const rank: MessageStatus[] = ['scheduled', 'queued', 'sending', 'sent', 'delivered', 'read', 'played']
const status = fc.constantFrom(...messageStatuses)
const change: fc.Arbitrary<StatusChange> = fc
  .record({ to: status, at: fc.integer({ min: 1, max: 1e12 }), unknown: fc.boolean() })
  .map(({ to, at, unknown }) => ({
    to,
    at,
    ...(to === 'failed' ? { error: { code: unknown ? 'outcome_unknown' : 'rejected_by_whatsapp', detail: '' } } : {}),
  }))

test('no sequence of changes ever goes back, and what has ended stays ended', () => {
  fc.assert(
    fc.property(status, fc.array(change, { maxLength: 20 }), (first, changes) => {
      let message = newMessage('ses_1', { status: first })
      for (const each of changes) {
        const after = advanced(message, each)
        if (!after) continue
        const [from, to] = [rank.indexOf(message.status), rank.indexOf(after.status)]
        const wasUnknown = message.status === 'failed' && message.error?.code === 'outcome_unknown'
        expect(from >= 0 || wasUnknown).toBe(true)
        expect(to === -1 || to > (wasUnknown ? 2 : from)).toBe(true)
        message = after
      }
    }),
  )
})

test('every way through the states ends, and the time line has no holes between sent and where it stands', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
      const last = changes.reduce((message, each) => advanced(message, each) ?? message, newMessage('ses_1'))
      const place = rank.indexOf(last.status)
      for (const step of rank.slice(3, Math.max(place, 3) + (place >= 3 ? 1 : 0))) expect(last.reachedAt[step]).toBeDefined()
      expect(last.reachedAt[last.status]).toBeDefined()
      expect(last.error === null).toBe(last.status !== 'failed')
    }),
  )
})

test('whether a step is forward depends on nothing but the two states and the error', () => {
  fc.assert(
    fc.property(status, change, (from, to) => {
      const message = newMessage('ses_1', { status: from })
      expect(advanced(message, to) !== null).toBe(canAdvance(from, to.to))
    }),
  )
})

test.each<[MessageStatus, MessageStatus[]]>([
  ['scheduled', ['queued', 'failed', 'expired', 'canceled']],
  ['queued', ['sending', 'sent', 'delivered', 'read', 'played', 'failed', 'expired', 'canceled']],
  ['sending', ['sent', 'delivered', 'read', 'played', 'failed']],
  ['sent', ['delivered', 'read', 'played']],
  ['delivered', ['read', 'played']],
  ['read', ['played']],
  ['played', []],
  ['failed', []],
  ['expired', []],
  ['canceled', []],
  ['received', []],
])('from %s exactly these are open: %j', (from, open) => {
  expect(messageStatuses.filter((to) => canAdvance(from, to))).toEqual(messageStatuses.filter((to) => open.includes(to)))
})

test('a failure of unknown outcome gives way to proof, and to nothing else', () => {
  const open = messageStatuses.filter((to) => canAdvance('failed', to, { code: 'outcome_unknown' }))
  expect(open).toEqual(['sent', 'delivered', 'read', 'played'])
  expect(messageStatuses.filter((to) => canAdvance('failed', to, { code: 'recipient_not_on_whatsapp' }))).toEqual([])
})

test('a receipt that jumps fills the steps between with its own time and keeps those already there', () => {
  const sending = newMessage('ses_1', { status: 'sending', reachedAt: { queued: 1, sending: 2 } })
  expect(advanced(sending, { to: 'read', at: 9 })?.reachedAt).toEqual({ queued: 1, sending: 2, sent: 9, delivered: 9, read: 9 })
  const sent = newMessage('ses_1', { status: 'sent', reachedAt: { queued: 1, sending: 2, sent: 3 } })
  expect(advanced(sent, { to: 'read', at: 9 })?.reachedAt).toEqual({ queued: 1, sending: 2, sent: 3, delivered: 9, read: 9 })
})
