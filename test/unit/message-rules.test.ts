// The limits a message lives by, and the canonical form of a request.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { whatsappIdOf } from '../../src/platform/id.ts'
import { canonicalJson, isOutcomeUnknown, maxSendingMs, maxSockets, newOutboundMessage } from '../../src/messages/message.ts'

test('a message’s WhatsApp id follows from its id', () => {
  const message = newOutboundMessage({
    sessionId: 'ses_1',
    request: {
      to: 'x',
      type: 'text',
      content: {},
      priority: 'bulk',
      replyTo: null,
      mentions: [],
      clientReference: null,
      sendAt: null,
      expiresAt: null,
    },
    recipient: '254700000001@s.whatsapp.net',
    address: { input: 'x', phoneNumber: '254700000001', lid: null, groupId: null },
    now: 5,
  })
  expect(message.whatsappId).toBe(whatsappIdOf(message.id))
  expect(message).toMatchObject({ status: 'queued', priority: 'bulk', reachedAt: { queued: 5 }, sequence: null })
})

test('the outcome is unknown for good after ten sockets or a day, not before', () => {
  const reachedAt = { sending: 1_000 }
  expect(isOutcomeUnknown({ attemptCount: maxSockets - 1, reachedAt }, 1_000)).toBe(false)
  expect(isOutcomeUnknown({ attemptCount: maxSockets, reachedAt }, 1_000)).toBe(true)
  expect(isOutcomeUnknown({ attemptCount: 1, reachedAt }, 999 + maxSendingMs)).toBe(false)
  expect(isOutcomeUnknown({ attemptCount: 1, reachedAt }, 1_000 + maxSendingMs)).toBe(true)
})

test('equal values have one canonical text whatever the order of their fields', () => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled)
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(
      Object.entries(value)
        .toReversed()
        .map(([name, field]) => [name, shuffled(field)]),
    )
  }
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(canonicalJson(shuffled(value))).toBe(canonicalJson(value))
      expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})

test('different requests have different canonical texts', () => {
  expect(canonicalJson({ a: '1' })).not.toBe(canonicalJson({ a: 1 }))
  expect(canonicalJson({ a: [1, 2] })).not.toBe(canonicalJson({ a: [2, 1] }))
  expect(canonicalJson({ a: undefined })).toBe(canonicalJson({}))
})
