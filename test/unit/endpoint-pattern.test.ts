// Which events reach an endpoint.
import { expect, test } from 'vitest'
import { isEventPattern, matchesEvent } from '../../src/store/endpoint-pattern.ts'
import { eventTypes } from '../../src/store/event-store.ts'

const secret = ['session.qr', 'session.pairing_code']

test('a star and session.* leave out what lets a phone be linked; its name brings it in', () => {
  expect(eventTypes.filter((type) => !matchesEvent(['*'], type))).toEqual(secret)
  expect(eventTypes.filter((type) => matchesEvent(['session.*'], type))).toEqual([
    'session.status',
    'session.health',
    'session.restricted',
  ])
  expect(eventTypes.filter((type) => matchesEvent(['session.*', 'session.qr'], type))).toContain('session.qr')
  expect(eventTypes.filter((type) => matchesEvent(['*', ...secret], type))).toEqual([...eventTypes])
})

test('a group takes its own, a name only itself, nothing takes nothing', () => {
  expect(eventTypes.filter((type) => matchesEvent(['message.*'], type))).toEqual(
    eventTypes.filter((t) => t.startsWith('message.')),
  )
  expect(eventTypes.filter((type) => matchesEvent(['message.sent'], type))).toEqual(['message.sent'])
  expect(eventTypes.filter((type) => matchesEvent([], type))).toEqual([])
})

test.each(['*', 'message.*', 'session.*', 'webhook.*', ...eventTypes])('%s is a pattern', (text) => {
  expect(isEventPattern(text)).toBe(true)
})
test.each(['', '**', 'message', 'message.', '.*', 'message.sent.*', 'MESSAGE.*', 'other.*', 'message.*x'])(
  '%j is none',
  (text) => {
    expect(isEventPattern(text)).toBe(false)
  },
)
