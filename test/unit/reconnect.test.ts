// The next try: backoff with full jitter, blame, conflicts, and the stable minute after which all is forgotten.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Reconnect, stableMs } from '../../src/fleet/reconnect.ts'

const most = () => 1
const cause = (action: 'retry' | 'retry_slowly' | 'restart' | 'conflict' | 'new_refs', isNetwork = false) => ({
  action,
  isNetwork,
})

test('the ceiling doubles up to a minute, and what is drawn lies anywhere below it', () => {
  const reconnect = new Reconnect(most)
  const delays = Array.from({ length: 10 }, () => reconnect.delayAfter(cause('retry'), 0))
  expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
  const none = new Reconnect(() => 0)
  expect(none.delayAfter(cause('retry'), 0)).toBe(50)
})

test('a network that is away never makes a session wait long', () => {
  const reconnect = new Reconnect(most)
  const delays = Array.from({ length: 20 }, () => reconnect.delayAfter(cause('retry', true), 0))
  expect(Math.max(...delays)).toBe(5_000)
})

test('what is not blamed on the session does not count', () => {
  const reconnect = new Reconnect(most)
  for (let i = 0; i < 10; i++) reconnect.delayAfter(cause('retry', true), 0, false)
  expect(reconnect.attempt).toBe(0)
  expect(reconnect.delayAfter(cause('retry'), 0)).toBe(500)
})

test('a short life changes nothing, a stable minute forgets everything', () => {
  const reconnect = new Reconnect(most)
  for (let i = 0; i < 5; i++) reconnect.delayAfter(cause('retry'), 0)
  reconnect.opened(1_000)
  expect(reconnect.delayAfter(cause('retry'), 1_000 + stableMs - 1)).toBe(16_000)
  reconnect.opened(100_000)
  expect(reconnect.delayAfter(cause('retry'), 100_000 + stableMs)).toBe(500)
})

test('after pairing at once; conflicts with growing pauses', () => {
  const reconnect = new Reconnect(() => 0.5)
  expect(reconnect.delayAfter(cause('restart'), 0)).toBe(0)
  expect([0, 0, 0].map(() => reconnect.delayAfter(cause('conflict'), 0))).toEqual([5_000, 30_000, 30_000])
  expect(reconnect.delayAfter(cause('new_refs'), 0)).toBe(500)
})

test('no delay is ever negative or above five minutes', () => {
  const causes = fc.constantFrom(...(['retry', 'retry_slowly', 'restart', 'conflict', 'new_refs'] as const))
  fc.assert(
    fc.property(fc.array(fc.tuple(causes, fc.boolean(), fc.boolean()), { maxLength: 60 }), (closes) => {
      const reconnect = new Reconnect()
      for (const [action, isNetwork, blamed] of closes) {
        const ms = reconnect.delayAfter({ action, isNetwork }, 0, blamed)
        expect(ms).toBeGreaterThanOrEqual(0)
        expect(ms).toBeLessThanOrEqual(300_000)
      }
    }),
  )
})
