// Receivers that show what they got: nothing of a header's value is kept of their answers.
import { assert, constantFrom, nat, property, string } from 'fast-check'
import { expect, test } from 'vitest'
import { hideEchoes } from '../../src/webhooks/hide-echoes.ts'

test('values are hidden as they are, without their scheme, and as JSON writes them', () => {
  const values = ['Bearer s3cret-token', 'say "friend"']
  const answer = JSON.stringify({ authorization: values[0], token: 's3cret-token', word: values[1] })
  expect(hideEchoes(answer, values, false)).toBe('{"authorization":"***","token":"***","word":"***"}')
})

test('an answer without them stays as it is, and so does what is too short for a secret', () => {
  expect(hideEchoes('not found: true', ['s3cret-token', 'true', ''], false)).toBe('not found: true')
  expect(hideEchoes('not found', [], true)).toBe('not found')
})

test('wherever an answer was cut, no part of a value is left of it', () => {
  const unit = constantFrom('a', 'b', 'c', 'd', 'e', 'f', '"', '\\', ' ')
  const value = string({ minLength: 8, maxLength: 40, unit }).filter((text) => text.trim() === text)
  assert(
    property(value, nat(60), (secret, length) => {
      const cut = `0123456789${secret}`.slice(0, length)
      expect(hideEchoes(cut, [secret], true)).toMatch(/^\d*\**$/)
    }),
  )
})
