// Ids: their form, that they rise, and the time they begin with.
import { expect, test } from 'vitest'
import { isId, newId, whatsappIdOf } from '../../src/platform/id.ts'

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const timeOf = (id: string) => Array.from(id.slice(4, 14)).reduce((sum, digit) => sum * 32 + alphabet.indexOf(digit), 0)

test('each rises above the one before, also within one millisecond and when the clock goes back', () => {
  const now = Date.now() + 1_000
  const ids = [now, now, now + 1, now - 5, now + 2].flatMap((at) => Array.from({ length: 2_000 }, () => newId('msg', at)))
  expect(ids.every((id) => isId('msg', id))).toBe(true)
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids.toSorted()).toEqual(ids)
})

test('they begin with their time, and one prefix is no other', () => {
  const at = Date.now() + 10_000
  const id = newId('ses', at)
  expect(timeOf(id)).toBe(at)
  expect(isId('msg', id)).toBe(false)
  expect(isId('ses', `${id}0`)).toBe(false)
})

test('the WhatsApp id follows from the message id for ever', () => {
  expect(whatsappIdOf('msg_01k5x8m2t7qv3n9c4d6fhj8rwz')).toBe('3EB023BB80BFDFAF6AAA0E')
})
