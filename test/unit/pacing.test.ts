// How fast a session may send: the numbers behind its settings.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  allowanceOn,
  countsAsNewContact,
  dayStart,
  holdBehind,
  isRestricted,
  jittered,
  nextDayWithRoom,
  paceOf,
  rampFactor,
} from '../../src/messages/pacing.ts'
import { newId } from '../../src/platform/id.ts'
import { newSession } from '../support/records.ts'

const day = 86_400_000
const now = Date.UTC(2026, 10, 23, 8)
const { session } = newSession()
const paced = (changes: Partial<typeof session.settings>) => ({ ...session, settings: { ...session.settings, ...changes } })
const phone = '254700000001@s.whatsapp.net'
const never = { firstOutboundAt: null, firstInboundAt: null, lastInboundAt: null }

test('null switches each limit off', () => {
  expect(paceOf(session, now, null)).toEqual({
    intervalMs: null,
    burst: 1,
    aheadMs: 0,
    recipientMs: null,
    newContactsPerDay: null,
    restrictedUntil: 0,
  })
})

test('a little less than the rate is used; half while the session recovers; a quarter right after a reconnect', () => {
  const session20 = paced({ messagesPerMinute: 20, perRecipientSeconds: 6 })
  expect(paceOf(session20, now, null)).toMatchObject({ intervalMs: 3_000 / 0.985, recipientMs: 6_000 })
  const ill = { ...session20, health: { score: 61, level: 'recovering' } } as unknown as typeof session20
  expect(paceOf(ill, now, null).intervalMs).toBeCloseTo(6_000 / 0.985)
  const well = { ...session20, health: { score: 97, level: 'healthy' } } as unknown as typeof session20
  expect(paceOf(well, now, null).intervalMs).toBeCloseTo(3_000 / 0.985)
  expect(paceOf(session20, now, now).intervalMs).toBeCloseTo(12_000 / 0.985)
  expect(paceOf(session20, now + 60_000, now).intervalMs).toBeCloseTo(3_000 / 0.985)
})

test('the ramp only ever speeds up, from four times the interval to once', () => {
  expect(rampFactor(now, null)).toBe(1)
  fc.assert(
    fc.property(fc.integer({ min: -1e6, max: 1e6 }), fc.nat(1e5), (since, later) => {
      expect(rampFactor(now + since + later, now)).toBeLessThanOrEqual(rampFactor(now + since, now))
      expect(rampFactor(now + since, now)).toBeGreaterThanOrEqual(1)
      expect(rampFactor(now + since, now)).toBeLessThanOrEqual(4)
    }),
  )
})

test('jitter follows from the message and never reaches below the rate', () => {
  const intervals = Array.from({ length: 500 }, () => {
    const id = newId('msg')
    expect(jittered(1_000, id)).toBe(jittered(1_000, id))
    return jittered(1_000, id)
  })
  expect(Math.min(...intervals)).toBeGreaterThan(996)
  expect(Math.max(...intervals)).toBeLessThan(1_004)
  expect(new Set(intervals).size).toBeGreaterThan(490)
})

test('after a reconnect there is no burst at once, and all of it within a minute', () => {
  const bursting = { ...session, settings: { ...session.settings, messagesPerMinute: 60, burst: 11 } }
  const aheadAfter = (ms: number) => paceOf(bursting, now + ms, now).aheadMs
  expect(aheadAfter(0)).toBe(0)
  expect(aheadAfter(60_000)).toBeCloseTo(10 * (60_000 / (0.985 * 60)))
  expect(aheadAfter(30_000)).toBeCloseTo(aheadAfter(60_000) / 2)
  expect(paceOf(bursting, now, null).aheadMs).toBe(aheadAfter(60_000))
})

test('the warm-up begins with 20 strangers a day and reaches 200 after 14 days', () => {
  const allowances = Array.from({ length: 20 }, (_, days) => allowanceOn('warmup', now + days * day, now))
  expect(allowances[0]).toBe(20)
  expect(allowances[14]).toBe(200)
  expect(allowances.at(-1)).toBe(200)
  expect(allowances).toEqual(allowances.toSorted((a, b) => a - b))
  expect(allowanceOn('warmup', now, null)).toBe(20)
  expect(allowanceOn(7, now, now - 90 * day)).toBe(7)
  expect(allowanceOn(null, now, null)).toBe(Infinity)
})

test('who finds no room today waits for the first day that has some', () => {
  const held = new Map([
    [dayStart(now) + day, 3],
    [dayStart(now) + 2 * day, 2],
  ])
  const heldOn = (each: number) => held.get(each) ?? 0
  expect(nextDayWithRoom(3, now, now, heldOn)).toBe(dayStart(now) + 2 * day)
  expect(nextDayWithRoom(2, now, now, heldOn)).toBe(dayStart(now) + 3 * day)
  expect(nextDayWithRoom(0, now, now, () => 0)).toBe(dayStart(now) + 60 * day)
})

test('a stranger is who neither wrote nor was written to; groups and urgent messages do not count', () => {
  const pace = { newContactsPerDay: 'warmup' as const }
  const count = (facts: Partial<Parameters<typeof countsAsNewContact>[0]>) =>
    countsAsNewContact({ recipient: phone, contact: null, priority: 'normal', ...facts }, pace, now)
  expect(count({})).toBe(true)
  expect(count({ contact: never })).toBe(true)
  expect(count({ priority: 'bulk' })).toBe(true)
  expect(count({ priority: 'high' })).toBe(false)
  expect(count({ contact: { ...never, firstOutboundAt: 5 } })).toBe(false)
  expect(count({ contact: { ...never, firstInboundAt: 5, lastInboundAt: 5 } })).toBe(false)
  expect(count({ recipient: '123456789@g.us' })).toBe(false)
  expect(countsAsNewContact({ recipient: phone, contact: null, priority: 'normal' }, { newContactsPerDay: null }, now)).toBe(
    false,
  )
})

test('under a restriction only those who wrote to us can be reached, until it ends', () => {
  const pace = { ...paceOf(session, now, null), restrictedUntil: now + 1 }
  expect(isRestricted({ recipient: phone, contact: null }, pace, now)).toBe(true)
  expect(isRestricted({ recipient: phone, contact: { ...never, firstOutboundAt: 5 } }, pace, now)).toBe(true)
  expect(isRestricted({ recipient: phone, contact: { ...never, firstInboundAt: 5 } }, pace, now)).toBe(false)
  expect(isRestricted({ recipient: '123456789@g.us', contact: null }, pace, now)).toBe(false)
  expect(isRestricted({ recipient: phone, contact: null }, pace, now + 1)).toBe(false)
})

test('a message stays behind the held one before it, one interval later', () => {
  const heldBefore = { heldBy: 'restriction', heldUntil: now + 500 } as const
  expect(holdBehind({ heldBefore }, { recipientMs: 6_000 }, now)).toEqual({ heldBy: 'restriction', heldUntil: now + 6_500 })
  expect(holdBehind({ heldBefore }, { recipientMs: null }, now)).toEqual({ heldBy: 'restriction', heldUntil: now + 501 })
  expect(holdBehind({ heldBefore }, { recipientMs: null }, now + 500)).toBeNull()
  expect(holdBehind({ heldBefore: null }, { recipientMs: 6_000 }, now)).toBeNull()
})
