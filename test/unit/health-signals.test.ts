// How facts about a session become signals: uptime, reconnects, delivery, acknowledgements, queues.
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { connectedTime, connectionPeriods } from '../../src/health/connected-time.ts'
import { countsSince } from '../../src/health/sample-counts.ts'
import { scoreOf } from '../../src/health/score.ts'
import { signalsOf, type SessionFacts } from '../../src/health/signals.ts'
import { thinned } from '../../src/health/thin-history.ts'
import type { ConnectionChange } from '../../src/sessions/connection-history.ts'
import type { HealthSample } from '../../src/store/health-store.ts'
import { newSession } from '../support/records.ts'

const now = 1_700_000_000_000
const minute = 60_000
const hour = 60 * minute

function facts(
  changes: Partial<SessionFacts> & { status?: 'connected' | 'connecting' | 'reconnecting' | 'disconnected' } = {},
): SessionFacts {
  const { status = 'connected', ...rest } = changes
  const created = now - 10 * hour
  const { session } = newSession({ status, createdAt: created, lastConnectedAt: created, lastEventAt: now - 5_000 })
  return {
    now,
    windowMs: hour,
    session,
    isHeld: true,
    unheardSince: null,
    heardAt: now - 4_000,
    history: { changes: [{ at: created, to: 'up' }], reconnects: [], actions: [] },
    work: { revision: 1, depth: 0, oldestQueuedAt: null, readySince: null, sendingSince: null },
    past: null,
    acked: [],
    fleetBoundAt: null,
    ...rest,
  }
}

const history = (parts: Partial<SessionFacts['history']>) => ({ changes: [], reconnects: [], actions: [], ...parts })
const acked = (sentAt: number, latencyMs = 100, isDelivered = true) => ({
  id: `msg_${sentAt}`,
  recipient: '254711000001@s.whatsapp.net',
  sendingAt: sentAt - latencyMs,
  sentAt,
  isDelivered,
})

describe('uptime', () => {
  const window = { since: now - hour, now, lostAt: null, isConnected: true, isWanted: true }

  test('counts only what was noted, and not what the user wanted off', () => {
    const notes: ConnectionChange[] = [
      { at: now - 40 * minute, to: 'up' },
      { at: now - 30 * minute, to: 'off' },
      { at: now - 20 * minute, to: 'up' },
      { at: now - 10 * minute, to: 'down' },
      { at: now - 5 * minute, to: 'up' },
    ]
    expect(connectedTime(notes.toReversed(), window)).toEqual({ upMs: 25 * minute, downMs: 5 * minute })
    expect(connectionPeriods(notes, window)).toEqual([
      { from: now - 40 * minute, until: now - 30 * minute, state: 'up' },
      { from: now - 30 * minute, until: now - 20 * minute, state: 'off' },
      { from: now - 20 * minute, until: now - 10 * minute, state: 'up' },
      { from: now - 10 * minute, until: now - 5 * minute, state: 'down' },
      { from: now - 5 * minute, until: now, state: 'up' },
    ])
  })

  test('survives workers that note a loss twice, or die without noting it', () => {
    const twice: ConnectionChange[] = [
      { at: now - 3 * hour, to: 'up' },
      { at: now - 20 * minute, to: 'down' },
      { at: now - 19 * minute, to: 'down' },
      { at: now - 10 * minute, to: 'up' },
    ]
    expect(connectedTime(twice, window).downMs).toBe(10 * minute)
    expect(connectionPeriods(twice, window).map(({ state }) => state)).toEqual(['up', 'down', 'up'])
    const dead = { ...window, isConnected: false, lostAt: now - 5 * minute }
    expect(connectedTime(twice, dead)).toEqual({ upMs: 45 * minute, downMs: 15 * minute })
  })

  test('never adds up to more than the window, whatever was noted in whatever order', () => {
    const note = fc.record({ at: fc.integer({ min: now - 3 * hour, max: now + hour }), to: fc.constantFrom('up', 'down', 'off') })
    fc.assert(
      fc.property(fc.array(note, { maxLength: 30 }), fc.boolean(), fc.boolean(), (notes, isConnected, isWanted) => {
        const { upMs, downMs } = connectedTime(notes, { ...window, isConnected, isWanted })
        expect(Math.min(upMs, downMs)).toBeGreaterThanOrEqual(0)
        expect(upMs + downMs).toBeLessThanOrEqual(hour)
      }),
    )
  })
})

describe('signals', () => {
  test('a steady session', () => {
    const steady = facts({ acked: Array.from({ length: 40 }, (_, i) => acked(now - 5 * minute - i * 1_000, 100 + i)) })
    expect(signalsOf(steady)).toMatchObject({
      uptimePercent: 100,
      downSeconds: 0,
      reconnectCount: 0,
      deliveryRate: 1,
      ackLatencyMsP95: 137,
      heartbeatAgeSeconds: 4,
      secondsSinceLastEvent: 5,
    })
    expect(scoreOf(signalsOf(steady)).score).toBe(100)
  })

  test('reconnects fade, and those in an outage are counted but not held against it', () => {
    const reconnects = [1, 8, 35, 70].map((minutes) => ({ at: now - minutes * minute, reason: 'connection_closed' }))
    const signals = signalsOf(facts({ history: history({ reconnects }) }))
    expect(signals).toMatchObject({ reconnectCount: 3, recentReconnects: 2.5 })
    const outage = reconnects.map((each) => ({ ...each, isOutage: true }))
    expect(signalsOf(facts({ history: history({ reconnects: outage }) }))).toMatchObject({
      reconnectCount: 3,
      recentReconnects: 0,
    })
    expect(signalsOf(facts({ windowMs: 24 * hour, history: history({ reconnects }) })).reconnectCount).toBe(4)
  })

  test('where Redis has forgotten, the samples tell what was; what both know counts once', () => {
    const sampleAt = (minutes: number, counts: object) => ({
      at: now - minutes * minute,
      lostCount: 0,
      outageCount: 0,
      upMs: 10 * minute,
      downMs: 0,
      ...counts,
    })
    const samples = [
      sampleAt(90, { lostCount: 50 }),
      sampleAt(50, { lostCount: 4, outageCount: 1 }),
      sampleAt(40, {}),
      sampleAt(30, { upMs: 5 * minute, downMs: 5 * minute }),
    ]
    const known = history({
      changes: [{ at: now - 20 * minute, to: 'up' }],
      reconnects: [2, 45].map((minutes) => ({ at: now - minutes * minute, reason: 'r' })),
    })
    const forgotten = facts({ history: known, past: { until: now - 30 * minute, samples } })
    expect(signalsOf(forgotten)).toMatchObject({ reconnectCount: 5, recentReconnects: 1.6, downSeconds: 300, uptimePercent: 90 })
    expect(signalsOf({ ...forgotten, windowMs: 2 * hour }).reconnectCount).toBe(55)
  })

  test('what happened since the sample before is counted by when it was noted', () => {
    const changes: ConnectionChange[] = [
      { at: now - 3 * minute, to: 'up' },
      { at: now - 4 * minute, to: 'down' },
      { at: now - hour, to: 'up' },
    ]
    const reconnects = [
      { at: now - 10 * minute, notedAt: now - minute, reason: 'r' },
      { at: now - minute, notedAt: now - minute, reason: 'r', isOutage: true },
      { at: now - 6 * minute, reason: 'r' },
    ]
    expect(countsSince(facts({ history: history({ changes, reconnects }) }), now - 5 * minute)).toEqual({
      lostCount: 2,
      outageCount: 1,
      upMs: 4 * minute,
      downMs: minute,
    })
  })

  test('flapping recovers by itself over the hour', () => {
    const scoreAfter = (minutes: number) => {
      const reconnects = Array.from({ length: 8 }, (_, i) => ({
        at: now - minutes * minute - i * 5_000,
        reason: 'connection_closed',
      }))
      return scoreOf(signalsOf(facts({ history: history({ reconnects }) }))).score
    }
    const scores = [0, 5, 20, 35, 45, 55, 65].map(scoreAfter)
    expect(scores[0]).toBeLessThan(70)
    expect(scores.at(-1)).toBe(100)
    expect(scores).toEqual(scores.toSorted((a, b) => a - b))
  })

  test('delivery is judged by what was acknowledged long enough ago, and not by a few', () => {
    const fresh = Array.from({ length: 9 }, (_, i) => acked(now - 10_000 - i, 100, false))
    expect(signalsOf(facts({ acked: fresh })).deliveryRate).toBeNull()
    const old = Array.from({ length: 10 }, (_, i) => acked(now - 5 * minute - i, 100, i >= 4))
    expect(signalsOf(facts({ acked: [...fresh, ...old] })).deliveryRate).toBe(0.6)
    expect(signalsOf(facts({ acked: old.slice(0, 4) })).deliveryRate).toBeNull()
  })

  test('what is never reported as delivered says nothing: notes to the own number or LID, and what goes to groups', () => {
    const to = (recipient: string) =>
      Array.from({ length: 10 }, (_, i) => ({ ...acked(now - 5 * minute - i, 100, false), recipient }))
    const rateOf = (recipient: string) => {
      const given = facts({ acked: to(recipient) })
      Object.assign(given.session, { phoneNumber: '254711000001', lid: '5555555@lid' })
      return signalsOf(given).deliveryRate
    }
    for (const unreported of ['254711000001@s.whatsapp.net', '5555555@lid', '120363000000000001@g.us']) {
      expect(rateOf(unreported)).toBeNull()
    }
    expect(rateOf('254711000002@s.whatsapp.net')).toBe(0)
    expect(rateOf('6666666@lid')).toBe(0)
  })

  test('sockets replaced for want of acks make one row, which ends when it has been quiet, or goes on while the same send does', () => {
    const noAck = (secondsAgo: number) => ({ at: now - secondsAgo * 1_000, reason: 'no_ack' })
    const work = { ...facts().work, depth: 1 }
    const row = history({ reconnects: [noAck(1), noAck(23), noAck(600)] })
    expect(signalsOf(facts({ history: row }))).toMatchObject({ unackedSeconds: 42, unackedReconnects: 2 })
    const sending = { ...work, sendingSince: now - 50_000 }
    const waiting = history({ reconnects: [noAck(15), noAck(30)] })
    expect(signalsOf(facts({ history: waiting, work: sending }))).toMatchObject({ unackedSeconds: 50, unackedReconnects: 2 })
    const over = history({ reconnects: [noAck(90), noAck(112)] })
    expect(signalsOf(facts({ history: over }))).toMatchObject({ unackedSeconds: 0, unackedReconnects: 0 })
    expect(signalsOf(facts({ work: { ...work, sendingSince: now - 12_000 } }))).toMatchObject({ unackedSeconds: 12 })
    // Between two sockets of the row it is no better.
    expect(signalsOf(facts({ status: 'reconnecting', history: row })).unackedSeconds).toBe(42)
    expect(signalsOf(facts({ status: 'reconnecting', work: sending })).unackedSeconds).toBe(0)
    expect(signalsOf(facts({ status: 'disconnected', history: row })).unackedSeconds).toBe(0)
  })

  test('a queue that moves at its own pace is not stalled, nor is one that is all held back', () => {
    const work = { ...facts().work, depth: 500, oldestQueuedAt: now - 5 * hour, readySince: now - 5 * hour }
    expect(signalsOf(facts({ work, acked: [acked(now - 3_000)] }))).toMatchObject({
      stalledSeconds: 0,
      oldestQueuedSeconds: 18_000,
    })
    expect(signalsOf(facts({ work, acked: [acked(now - 10 * minute)] })).stalledSeconds).toBe(540)
    expect(signalsOf(facts({ work: { ...work, readySince: null } })).stalledSeconds).toBe(0)
    const slow = facts({ work, acked: [acked(now - 10 * minute)] })
    slow.session.settings.messagesPerMinute = 0.2
    expect(signalsOf(slow).stalledSeconds).toBe(0)
    const waiting = { work, acked: [acked(now - 15 * minute)] }
    expect(signalsOf(facts({ ...waiting, fleetBoundAt: now })).stalledSeconds).toBe(0)
    expect(signalsOf(facts({ ...waiting, fleetBoundAt: now - 5 * minute })).stalledSeconds).toBe(240)
  })

  test('how long it is without a connection, by whoever noted it or by nobody', () => {
    const changes: ConnectionChange[] = [
      { at: now - 30_000, to: 'down' },
      { at: now - 31_000, to: 'down' },
      { at: now - hour, to: 'up' },
    ]
    expect(signalsOf(facts({ status: 'reconnecting', history: history({ changes }) })).notConnectedSeconds).toBe(31)
    expect(signalsOf(facts({ unheardSince: now - 40_000, heardAt: null }))).toMatchObject({
      notConnectedSeconds: 40,
      downSeconds: 40,
      heartbeatAgeSeconds: null,
    })
    expect(signalsOf(facts({ status: 'disconnected' })).notConnectedSeconds).toBe(0)
  })
})

describe('history', () => {
  const sample = (at: number, score: number, action?: string): HealthSample => ({
    sessionId: 'ses_1',
    at,
    score,
    level: 'healthy',
    reasons: [],
    signals: { sentCount: 2, receivedCount: 1 },
    actions: action === undefined ? [] : [{ action: 'reconnect', reason: action }],
  })

  test('thins with age, keeps the worst and what was done', () => {
    const samples = [
      ...Array.from({ length: 20 }, (_, i) => sample(now - 30 * minute + i * minute, 90)),
      sample(now - 2 * hour, 95),
      sample(now - 2 * hour + minute, 30, 'deaf'),
      sample(now - 2 * hour + 2 * minute, 80, 'no_ack'),
    ].toSorted((a, b) => a.at - b.at)
    const merges = thinned(samples, now).filter(({ from }) => from.length > 0)
    const left = new Set(samples.map(({ at }) => at))
    for (const { from } of merges) for (const at of from) left.delete(at)
    expect(left.size).toBeLessThanOrEqual(22)
    const ill = merges.find(({ into }) => into.score === 30)
    expect(ill?.into.actions.map(({ reason }) => reason)).toEqual(['deaf', 'no_ack'])
    expect(ill?.into.signals).toEqual({ sentCount: 6, receivedCount: 3 })
  })

  test('has at most one sample for each span after it was thinned, and thinning again changes nothing', () => {
    const anyAges = fc.uniqueArray(fc.integer({ min: 0, max: 7 * 24 * 60 }), { maxLength: 200 })
    fc.assert(
      fc.property(anyAges, (ages) => {
        const samples = ages.toSorted((a, b) => b - a).map((age) => sample(now - age * minute, age % 101))
        const merges = thinned(samples, now)
        const gone = new Set(merges.flatMap(({ from }) => from))
        const left = samples.filter(({ at }) => !gone.has(at))
        expect(thinned(left, now)).toEqual([])
        expect(Math.min(100, ...left.map(({ score }) => score))).toBe(Math.min(100, ...samples.map(({ score }) => score)))
        expect(left.filter(({ at }) => at <= now - 24 * hour).length).toBeLessThanOrEqual(6 * 24 + 1)
      }),
    )
  })
})
