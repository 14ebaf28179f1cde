// The health score: bounded, adding up exactly, and never the better for worse signals.
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { levelOf, scoreOf } from '../../src/health/score.ts'
import type { HealthSignals } from '../../src/health/signals.ts'
import { levels, weights } from '../../src/health/weights.ts'
import { sessionStatuses } from '../../src/store/session-store.ts'

const well: HealthSignals = {
  state: 'connected',
  statusReason: null,
  isRestricted: false,
  isHeld: true,
  notConnectedSeconds: 0,
  uptimePercent: 100,
  downSeconds: 0,
  reconnectCount: 0,
  recentReconnects: 0,
  deliveryRate: 1,
  ackLatencyMsP95: 120,
  unackedSeconds: 0,
  unackedReconnects: 0,
  secondsSinceLastEvent: 3,
  heartbeatAgeSeconds: 6,
  queueDepth: 0,
  oldestQueuedSeconds: null,
  stalledSeconds: 0,
}

const seconds = fc.integer({ min: 0, max: 100_000 })
const orNull = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null })
const anySignals: fc.Arbitrary<HealthSignals> = fc.record({
  state: fc.constantFrom(...sessionStatuses),
  statusReason: fc.constantFrom(null, 'requested', 'banned'),
  isRestricted: fc.boolean(),
  isHeld: fc.boolean(),
  notConnectedSeconds: seconds,
  uptimePercent: orNull(fc.double({ min: 0, max: 100, noNaN: true })),
  downSeconds: seconds,
  reconnectCount: fc.nat(300),
  recentReconnects: fc.double({ min: 0, max: 200, noNaN: true }),
  deliveryRate: orNull(fc.double({ min: 0, max: 1, noNaN: true })),
  ackLatencyMsP95: orNull(fc.integer({ min: 0, max: 100_000 })),
  unackedSeconds: seconds,
  unackedReconnects: fc.nat(20),
  secondsSinceLastEvent: orNull(seconds),
  heartbeatAgeSeconds: orNull(seconds),
  queueDepth: fc.nat(10_000),
  oldestQueuedSeconds: orNull(seconds),
  stalledSeconds: seconds,
})

describe('the score', () => {
  test('is a whole number from 0 to 100, and 100 minus the points of its reasons', () => {
    fc.assert(
      fc.property(anySignals, (signals) => {
        const { score, reasons } = scoreOf(signals)
        expect(Number.isInteger(score) && score >= 0 && score <= 100).toBe(true)
        expect(score).toBe(100 - reasons.reduce((sum, { points }) => sum + points, 0))
        expect(reasons.every(({ points, text }) => points > 0 && text.length > 5)).toBe(true)
        expect(reasons.map(({ points }) => points)).toEqual(reasons.map(({ points }) => points).toSorted((a, b) => b - a))
      }),
      { numRuns: 500 },
    )
  })

  const rising = [
    'notConnectedSeconds',
    'downSeconds',
    'recentReconnects',
    'ackLatencyMsP95',
    'unackedSeconds',
    'secondsSinceLastEvent',
    'heartbeatAgeSeconds',
    'stalledSeconds',
  ] as const
  test.each(rising)('is never raised by more %s', (name) => {
    fc.assert(
      fc.property(anySignals, seconds, seconds, (signals, a, b) => {
        const [less, more] = [Math.min(a, b), Math.max(a, b)]
        expect(scoreOf({ ...signals, [name]: more }).score).toBeLessThanOrEqual(scoreOf({ ...signals, [name]: less }).score)
      }),
      { numRuns: 300 },
    )
  })

  test('is never raised by a lower delivery rate, nor by a restriction', () => {
    const rate = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(anySignals, rate, rate, (signals, a, b) => {
        const scoreAt = (deliveryRate: number) => scoreOf({ ...signals, deliveryRate }).score
        expect(scoreAt(Math.min(a, b))).toBeLessThanOrEqual(scoreAt(Math.max(a, b)))
        expect(scoreOf({ ...signals, isRestricted: true }).score).toBeLessThanOrEqual(
          scoreOf({ ...signals, isRestricted: false }).score,
        )
      }),
    )
  })

  test('is 100 for a session that is well, also through a silent night', () => {
    expect(scoreOf(well)).toEqual({ score: 100, reasons: [] })
    const asleep = { deliveryRate: null, ackLatencyMsP95: null, secondsSinceLastEvent: 30_000 }
    expect(scoreOf({ ...well, ...asleep }).score).toBe(100)
  })

  test('is 0 when logged out, whatever else is wrong', () => {
    const { score, reasons } = scoreOf({ ...well, state: 'logged_out', statusReason: 'device_removed', downSeconds: 900 })
    expect({ score, codes: reasons.map(({ code }) => code) }).toEqual({ score: 0, codes: ['logged_out'] })
  })

  test('stays at 94 or more after one reconnect, and is in the sixties while a session flaps', () => {
    expect(scoreOf({ ...well, recentReconnects: 1, downSeconds: 3 }).score).toBeGreaterThanOrEqual(94)
    for (const recentReconnects of [4, 5, 6, 8, 12, 40, 200]) {
      const { score } = scoreOf({ ...well, recentReconnects, downSeconds: recentReconnects, notConnectedSeconds: 4 })
      expect(score).toBeGreaterThanOrEqual(60)
      expect(score).toBeLessThan(70)
    }
  })

  test('names missing acknowledgements, and what was tried', () => {
    const { score, reasons } = scoreOf({ ...well, unackedSeconds: 42, unackedReconnects: 2, recentReconnects: 2 })
    expect(levelOf(score, 'healthy')).toBe('critical')
    expect(reasons[0]).toEqual({
      code: 'acks_missing',
      points: 52,
      text: 'WhatsApp has acknowledged nothing for 42 s, over 2 reconnects.',
    })
  })
})

describe('the weights', () => {
  test.each(weights.map((weight) => [weight.code, weight] as const))('%s: the curve only rises', (_, { curve }) => {
    expect(curve[0]?.[1]).toBe(0)
    for (const [i, [value, points]] of curve.entries()) {
      const [before, pointsBefore] = curve[i - 1] ?? [-1, 0]
      expect(value).toBeGreaterThan(before)
      expect(points).toBeGreaterThanOrEqual(pointsBefore)
      expect(points).toBeLessThanOrEqual(100)
    }
  })

  test('codes are there once', () => {
    expect(new Set(weights.map(({ code }) => code)).size).toBe(weights.length)
  })
})

describe('the level', () => {
  const anyScore = fc.integer({ min: 0, max: 100 })
  const anyLevel = fc.constantFrom(...levels.map(({ level }) => level))
  const rank = (level: string) => levels.findIndex((each) => each.level === level)

  test('is that of the score, or the one before while the score is near it', () => {
    fc.assert(
      fc.property(anyScore, fc.option(anyLevel, { nil: null }), (score, before) => {
        const level = levelOf(score, before)
        const { entry = 0, floor = 0 } = levels[rank(level)] ?? {}
        const least = before === null ? entry : floor
        expect(score).toBeGreaterThanOrEqual(least)
      }),
    )
  })

  test('never falls for a higher score, and stands still when nothing changes', () => {
    fc.assert(
      fc.property(anyScore, anyScore, anyLevel, (a, b, before) => {
        expect(rank(levelOf(Math.max(a, b), before))).toBeLessThanOrEqual(rank(levelOf(Math.min(a, b), before)))
        const level = levelOf(a, before)
        expect(levelOf(a, level)).toBe(level)
      }),
    )
  })

  test('94 is healthy, 61 recovering; a point up and down around a limit changes nothing', () => {
    expect([levelOf(94, null), levelOf(61, null), levelOf(61, 'healthy')]).toEqual(['healthy', 'recovering', 'recovering'])
    expect([79, 80, 79, 76, 75, 80].reduce<string[]>((all, score) => [...all, levelOf(score, all.at(-1) ?? null)], [])).toEqual([
      'recovering',
      ...Array.from({ length: 5 }, () => 'healthy'),
    ])
  })
})
