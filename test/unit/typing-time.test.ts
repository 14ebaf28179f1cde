// How long "typing…" is shown: fits the text, stays within its limits, and is the same on every try.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { typicalTypingMs, typingMsOf } from '../../src/messages/typing-time.ts'

const message = (body: string, id = 'msg_01', recipient = '254711000001@s.whatsapp.net') => ({
  id,
  type: 'text',
  content: { text: { body } },
  recipient,
})

test('any text takes between half a second and two and a half, the same each time it is asked', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 3_000 }), fc.string(), (body, id) => {
      const ms = typingMsOf(message(body, id))
      expect(ms).toBeGreaterThanOrEqual(500)
      expect(ms).toBeLessThanOrEqual(2_500)
      expect(typingMsOf(message(body, id))).toBe(ms)
    }),
  )
})

test('a longer text takes longer, up to the limit', () => {
  const times = [10, 20, 40, 400].map((length) => typingMsOf(message('a'.repeat(length))))
  expect(times).toEqual(times.toSorted((a, b) => a - b))
  expect(times.at(-1)).toBe(2_500)
})

test('two messages with the same text do not take the same time', () => {
  const times = Array.from({ length: 20 }, (_, n) => typingMsOf(message('a'.repeat(30), `msg_${n}`)))
  expect(new Set(times).size).toBeGreaterThan(10)
})

test('nobody types to a group, and nothing but texts is typed', () => {
  expect(typingMsOf(message('Habari', 'msg_01', '123@g.us'))).toBe(0)
  expect(typingMsOf({ ...message('Habari'), type: 'image' })).toBe(0)
  expect(typingMsOf(message('Habari', 'msg_01', '77@lid'))).toBeGreaterThan(0)
})

test('a queue is expected to take what its messages take on the average', () => {
  const messages = [message('a'.repeat(400)), message('b'), message('c', 'msg_02', '123@g.us')]
  expect(typicalTypingMs(messages)).toBe(1_000)
  expect(typicalTypingMs([])).toBe(0)
})
