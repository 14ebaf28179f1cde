// What users write as `to`, and what it becomes.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { AppError, hasCode } from '../../src/platform/errors.ts'
import { kindOfJid, lidOf, parseAddress, parsePhoneNumber, phoneNumberOf, withoutDeviceOf } from '../../src/whatsapp/address.ts'

const phone = { recipient: '254712345678@s.whatsapp.net', phoneNumber: '254712345678', lid: null, groupId: null }

test.each([
  ['+254 712 345 678', phone],
  ['254712345678', phone],
  [' +254 (712) 345-678 ', phone],
  ['+254\u00a0712\u2011345.678', phone],
  ['254712345678@s.whatsapp.net', phone],
  ['254712345678:12@s.whatsapp.net', phone],
  ['254712345678@c.us', phone],
  ['254712345678@S.WhatsApp.Net', phone],
  ['98765432101234@lid', { recipient: '98765432101234@lid', phoneNumber: null, lid: '98765432101234@lid', groupId: null }],
  ['98765432101234:7@lid', { recipient: '98765432101234@lid', phoneNumber: null, lid: '98765432101234@lid', groupId: null }],
  [
    '120363025246125486@g.us',
    { recipient: '120363025246125486@g.us', phoneNumber: null, lid: null, groupId: '120363025246125486@g.us' },
  ],
  [
    '254712345678-1512345678@g.us',
    { recipient: '254712345678-1512345678@g.us', phoneNumber: null, lid: null, groupId: '254712345678-1512345678@g.us' },
  ],
])('%j is understood', (input, { recipient, ...parts }) => {
  expect(parseAddress(input)).toEqual({ recipient, address: { input, ...parts } })
})

test.each([
  '',
  '   ',
  'hello',
  '12',
  '123456',
  '1234567890123456',
  '0712345678',
  '00254712345678',
  '++254712345678',
  '254+712345678',
  '254712345678@',
  '@s.whatsapp.net',
  '0@s.whatsapp.net',
  '254712345678@example.com',
  '254712345678@s.whatsapp.net@c.us',
  'status@broadcast',
  '123@newsletter',
  'abc@lid',
  '1@lid',
  'abc@g.us',
  '120363025246125486:1@g.us',
  '254712345678\u0000',
  '٢٥٤٧١٢٣٤٥٦٧٨',
  '1'.repeat(10_000),
])('%j is refused as an invalid request that names the field', (input) => {
  let error: unknown
  try {
    parseAddress(input)
  } catch (thrown) {
    error = thrown
  }
  expect(error).toBeInstanceOf(AppError)
  expect((error as AppError).code).toBe('invalid_request')
  expect((error as AppError).errors?.[0]?.path).toBe('to')
  expect((error as AppError).message).toMatch(/^`to` .+\.$/)
})

const digits = fc.stringMatching(/^[1-9]\d{6,14}$/)

test('every E.164 number parses alike however it is punctuated, and its JID parses to itself', () => {
  fc.assert(
    fc.property(digits, fc.array(fc.constantFrom(' ', '-', '(', ')', '.', '\u00a0'), { maxLength: 20 }), (number, marks) => {
      const written = number.replace(/\d/g, (digit, i: number) => (marks[i] ?? '') + digit)
      const parsed = parseAddress(`+${written}`)
      expect(parsed.recipient).toBe(`${number}@s.whatsapp.net`)
      expect(parseAddress(parsed.recipient).recipient).toBe(parsed.recipient)
      expect(parsePhoneNumber(written)).toBe(number)
    }),
  )
})

test('whatever is given, the answer is a canonical address or a clear refusal', () => {
  const inputs = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.tuple(fc.string(), fc.constantFrom('@lid', '@g.us', '@c.us', '@s.whatsapp.net')).map(([user, server]) => user + server),
  )
  const holds = () =>
    fc.property(inputs, (input) => {
      let recipient: string | undefined
      try {
        recipient = parseAddress(input).recipient
      } catch (error) {
        if (!hasCode(error, 'invalid_request')) throw error
      }
      const isCanonical = recipient === undefined || /^\d+(-\d+)?@(s\.whatsapp\.net|lid|g\.us)$/.test(recipient)
      return isCanonical && (recipient === undefined || parseAddress(recipient).recipient === recipient)
    })
  expect(() => fc.assert(holds(), { numRuns: 300 })).not.toThrow()
})

test('devices are cut from JIDs, and kinds are told apart', () => {
  expect(phoneNumberOf('254712345678:3@s.whatsapp.net')).toBe('254712345678')
  expect(phoneNumberOf('254712345678_1:3@s.whatsapp.net')).toBe('254712345678')
  expect(phoneNumberOf('98765432101234@lid')).toBeNull()
  expect(phoneNumberOf(null)).toBeNull()
  expect(lidOf('98765432101234:3@lid')).toBe('98765432101234@lid')
  expect(lidOf('254712345678@s.whatsapp.net')).toBeNull()
  expect(withoutDeviceOf('254712345678:3@c.us')).toBe('254712345678@s.whatsapp.net')
  expect(withoutDeviceOf('254712345678:99@hosted')).toBe('254712345678@s.whatsapp.net')
  expect(withoutDeviceOf('98765432101234:99@hosted.lid')).toBe('98765432101234@lid')
  expect(['1@s.whatsapp.net', '1@lid', '1@g.us', 'status@broadcast'].map(kindOfJid)).toEqual(['phone', 'lid', 'group', 'other'])
})
