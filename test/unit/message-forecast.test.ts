// Playing a queue forward: whom the pace lets go when, and in which order.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ageOf, createForecastCache } from '../../src/messages/forecast-session.ts'
import { QueueForecast, type ForecastStart } from '../../src/messages/forecast.ts'
import { lanes, type QueuedMessage } from '../../src/store/message-store.ts'
import { waitFor } from '../support/wait.ts'

const now = Date.UTC(2026, 10, 23, 8)
const midnight = Date.UTC(2026, 10, 24)

function start(changes: Partial<ForecastStart> = {}, pace: Partial<ForecastStart['pace']> = {}): ForecastStart {
  return {
    now,
    pace: { intervalMs: 1_000, burst: 1, aheadMs: 0, recipientMs: null, newContactsPerDay: null, restrictedUntil: 0, ...pace },
    intervalAt: () => pace.intervalMs ?? 1_000,
    aheadAt: () => ((pace.burst ?? 1) - 1) * (pace.intervalMs ?? 1_000),
    busyMs: 0,
    fullAt: now,
    fleetAt: 0,
    recipientFreeAt: new Map(),
    strangers: { count: 0, firstAt: null },
    ...changes,
  }
}

function row(sequence: number, to: string, more: Partial<QueuedMessage> = {}): QueuedMessage {
  return {
    id: `m${sequence}`,
    sequence,
    priority: 'normal',
    status: 'queued',
    recipient: to,
    heldUntil: null,
    heldBy: null,
    isNewContact: false,
    isUnheard: false,
    ...more,
  }
}

/** Seconds from now, by message. */
const secondsOf = (forecast: QueueForecast) =>
  Object.fromEntries([...forecast.byId].map(([id, { sendAt }]) => [id, (sendAt - now) / 1_000]))

test('one after the other at the session’s interval, counted from when it may send again', () => {
  const rows = [row(1, 'a'), row(2, 'b'), row(3, 'c')]
  expect(secondsOf(new QueueForecast(start(), rows))).toEqual({ m1: 0, m2: 1, m3: 2 })
  const waiting = new QueueForecast(start({ fullAt: now + 500 }), rows)
  expect(secondsOf(waiting)).toEqual({ m1: 0.5, m2: 1.5, m3: 2.5 })
  expect(waiting.byId.get('m1')?.hold).toEqual({ heldBy: 'session', heldUntil: now + 500 })
  expect(waiting.byId.get('m2')?.hold).toBeNull()
  expect(new QueueForecast(start({ fleetAt: now + 700 }), rows).byId.get('m1')?.hold?.heldBy).toBe('fleet')
  expect(secondsOf(new QueueForecast(start({}, { burst: 2 }), rows))).toEqual({ m1: 0, m2: 0, m3: 1 })
})

test('a recipient’s interval lets others pass, and what waited goes first when its time has come', () => {
  const rows = [row(1, 'a'), row(2, 'a'), row(3, 'b'), row(4, 'c'), row(5, 'd')]
  const forecast = new QueueForecast(start({}, { recipientMs: 2_500 }), rows)
  expect(secondsOf(forecast)).toEqual({ m1: 0, m3: 1, m4: 2, m2: 3, m5: 4 })
  expect(forecast.byId.get('m2')?.position).toBe(3)
})

test('a recipient that was just written to waits, and a message on its way counts as before', () => {
  const rows = [row(1, 'z', { status: 'sending' }), row(2, 'a'), row(3, 'b')]
  const forecast = new QueueForecast(start({ recipientFreeAt: new Map([['a', now + 1_500]]) }), rows)
  expect(secondsOf(forecast)).toEqual({ m3: 0, m2: 1.5 })
  expect([forecast.byId.get('m3')?.position, forecast.byId.get('m2')?.position]).toEqual([1, 2])
})

test('what is held back is expected when its hold ends, those behind it later, and both say so', () => {
  const heldUntil = now + 60_000
  const rows = [row(1, 'a', { heldBy: 'new_contacts', heldUntil }), row(2, 'a'), row(3, 'b')]
  const forecast = new QueueForecast(start({}, { recipientMs: 5_000 }), rows)
  expect(secondsOf(forecast)).toEqual({ m3: 0, m1: 60, m2: 65 })
  expect(forecast.byId.get('m2')?.hold).toEqual({ heldBy: 'new_contacts', heldUntil: heldUntil + 5_000 })
})

test('strangers beyond the allowance are expected on the first day with room', () => {
  const rows = Array.from({ length: 5 }, (_, n) => row(n + 1, `new${n}`, { isNewContact: true }))
  const forecast = new QueueForecast(start({ strangers: { count: 1, firstAt: now } }, { newContactsPerDay: 2 }), rows)
  const days = rows.map(({ id }) => Math.max(0, Math.ceil(((forecast.byId.get(id)?.sendAt ?? 0) - midnight + 1) / 86_400_000)))
  expect(days).toEqual([0, 1, 1, 2, 2])
  expect(forecast.byId.get('m2')?.hold).toEqual({ heldBy: 'new_contacts', heldUntil: midnight })
  const urgent = new QueueForecast(start({ strangers: { count: 9, firstAt: now } }, { newContactsPerDay: 2 }), [
    row(1, 'new', { isNewContact: true, priority: 'high' }),
  ])
  expect(secondsOf(urgent)).toEqual({ m1: 0 })
})

test('whoever never wrote waits for the end of a restriction, known or urgent or not; others do not wait behind them', () => {
  const until = now + 60_000
  const unheard = { isNewContact: true, isUnheard: true }
  const rows = [
    row(1, 'a', { ...unheard, priority: 'high' }),
    row(2, 'b', unheard),
    row(3, 'c', { isUnheard: true }),
    row(4, 'd'),
    row(5, 'b', unheard),
  ]
  const forecast = new QueueForecast(start({}, { restrictedUntil: until }), rows)
  expect(secondsOf(forecast)).toEqual({ m4: 0, m1: 60, m2: 61, m3: 62, m5: 63 })
  for (const id of ['m1', 'm2', 'm3']) expect(forecast.byId.get(id)?.hold).toEqual({ heldBy: 'restriction', heldUntil: until })
  expect(forecast.byId.get('m5')?.hold?.heldBy).toBe('restriction')
  const later = forecast.append({ id: 'm6', priority: 'normal', recipient: 'e', ...unheard })
  expect(later).toMatchObject({ sendAt: until, hold: { heldBy: 'restriction', heldUntil: until } })
  const friend = forecast.append({ id: 'm7', priority: 'normal', recipient: 'f', isNewContact: false, isUnheard: false })
  expect(friend).toMatchObject({ sendAt: now + 1_000, hold: null })
  const over = new QueueForecast(start({}, { restrictedUntil: now }), rows)
  expect(secondsOf(over)).toEqual({ m1: 0, m2: 1, m3: 2, m4: 3, m5: 4 })
})

test('one that is accepted later stands at the end of its lane', () => {
  const forecast = new QueueForecast(start(), [row(1, 'h', { priority: 'high' }), row(2, 'a'), row(3, 'b')])
  const append = (id: string, priority: QueuedMessage['priority'], recipient = id) =>
    forecast.append({ id, priority, recipient, isNewContact: false, isUnheard: false })
  expect(append('n', 'normal')).toMatchObject({ position: 3, sendAt: now + 3_000 })
  expect(append('h2', 'high')).toMatchObject({ position: 1, sendAt: now + 1_000 })
  expect(append('b', 'bulk')).toMatchObject({ position: 5 })
  expect(
    new QueueForecast(start({ fullAt: now + 400 }), []).append({
      id: 'x',
      priority: 'bulk',
      recipient: 'x',
      isNewContact: false,
      isUnheard: false,
    }),
  ).toMatchObject({
    position: 0,
    sendAt: now + 400,
  })
})

test('forecasts are kept for a moment, and never more of them than memory allows', async () => {
  const cache = createForecastCache()
  const rows = Array.from({ length: 500 }, (_, n) => row(n, `r${n}`))
  const forecast = new QueueForecast(start(), rows)
  for (let n = 0; n < 500; n += 1) cache.set(`ses_${n}`, { forecast, madeAt: now, settings: '' }, { ttl: ageOf(forecast) })
  expect(cache.size).toBeLessThan(400)
  expect(cache.size).toBeGreaterThan(300)
  await waitFor('all are too old', () => cache.size === 0)
})

test('every message gets a time, never two closer than the interval, nobody before their time, each recipient in order', () => {
  const spec = fc.record({
    to: fc.constantFrom('a', 'b', 'c', 'd'),
    priority: fc.constantFrom(...lanes),
    hold: fc.option(fc.integer({ min: 1, max: 30_000 })),
    isNew: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(spec, { maxLength: 40 }), fc.integer({ min: 0, max: 8_000 }), (specs, recipientMs) => {
      const rows = lanes.flatMap((lane) =>
        specs.flatMap(({ to, priority, hold, isNew }, n) => {
          const held = hold === null ? {} : { heldBy: 'recipient' as const, heldUntil: now + hold }
          return priority === lane ? [row(n, to, { priority, isNewContact: isNew && to === 'd', ...held })] : []
        }),
      )
      const { byId } = new QueueForecast(start({}, { recipientMs, newContactsPerDay: 1 }), rows)
      expect(byId.size).toBe(rows.length)
      const inTime = rows
        .map((each) => ({ ...each, ...byId.get(each.id)! }))
        .toSorted((a, b) => a.sendAt - b.sendAt || a.position - b.position)
      expect(inTime.map(({ position }) => position)).toEqual(inTime.map((_, n) => n))
      for (const [n, each] of inTime.entries()) {
        expect(each.sendAt).toBeGreaterThanOrEqual(Math.max(now, each.heldUntil ?? 0))
        const before = inTime.slice(0, n)
        expect(each.sendAt).toBeGreaterThanOrEqual((before.at(-1)?.sendAt ?? -Infinity) + 1_000)
        const same = before.findLast(({ recipient }) => recipient === each.recipient)
        expect(each.sendAt).toBeGreaterThanOrEqual((same?.sendAt ?? -Infinity) + recipientMs)
        const chain = before.filter(({ recipient, priority }) => recipient === each.recipient && priority === each.priority)
        for (const { sequence } of chain) expect(sequence).toBeLessThan(each.sequence)
      }
    }),
  )
})
