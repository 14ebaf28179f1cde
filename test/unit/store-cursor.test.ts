// List cursors: they come back as they were, and anything else is a fault of the request.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeCursor, encodeCursor } from '../../src/store/cursor.ts'

test('what was encoded comes back', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), fc.string(), (at, id) => {
      expect(decodeCursor(encodeCursor([at, `msg_${id}`]), ['number', 'msg_'])).toEqual([at, `msg_${id}`])
    }),
  )
})

test('anything else is an invalid request, never a crash', () => {
  const made = encodeCursor([1, 'msg_a'])
  const notACursor = expect.objectContaining({ code: 'invalid_request' })
  fc.assert(
    fc.property(fc.string(), (text) => {
      fc.pre(text !== made)
      expect(() => decodeCursor(text, ['number', 'msg_'])).toThrow(notACursor)
    }),
  )
  for (const parts of [[1], ['msg_a', 1], [1.5, 'msg_a'], [1, 'msg_a', 2], [1, 'a'], [1, 'ses_a']]) {
    expect(() => decodeCursor(encodeCursor(parts), ['number', 'msg_'])).toThrow(notACursor)
  }
})
