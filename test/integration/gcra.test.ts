// The pacing script on a real Redis, with the test's own clock: what it promises holds for every schedule of requests.
import * as fc from 'fast-check'
import type { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { AckTimes } from '../../src/messages/ack-times.ts'
import { jittered, paceOf } from '../../src/messages/pacing.ts'
import { openPace, reserve, type PacingAnswer, type PacingRequest } from '../../src/messages/pacing-script.ts'
import { newId } from '../../src/platform/id.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { newSession } from '../support/records.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'

let server: TestRedis
let redis: Redis
let count = 0
beforeAll(async () => {
  server = await startTestRedis()
  redis = connectRedis(server.target, 'worker', pino({ level: 'silent' }))
})
afterAll(async () => {
  await closeRedis(redis)
  await server.close()
})

const start = 1_800_000_000_000
const minute = 60_000
const newPrefix = () => `gcra${(count += 1)}`

function request(changes: Partial<PacingRequest> = {}): PacingRequest {
  return {
    sessionId: 'ses_1',
    messageId: newId('msg'),
    recipient: '254700000001@s.whatsapp.net',
    intervalMs: null,
    burst: 1,
    recipientMs: null,
    fleetIntervalMs: null,
    previous: null,
    ...changes,
  }
}

const { session } = newSession()
const paceAt = (messagesPerMinute: number, burst: number, now: number, connectedAt: number | null) =>
  paceOf({ ...session, settings: { ...session.settings, messagesPerMinute, burst } }, now, connectedAt)

/**
 * A sender that has something to send at once: waits as it is told, and a little longer; returns when each message left. `lostMs`: for so long
 * what was granted could not leave, as when the store is away or the answer was lost; then it is asked for again. `reconnectEveryMs`: the rate
 * and the burst begin anew so often.
 */
async function sendFor(
  rate: number,
  burst: number,
  options: { ms: number; pauses: number[]; lateMs: number[]; ackMs?: number[]; lostMs?: number[]; reconnectEveryMs?: number },
): Promise<number[]> {
  const prefix = newPrefix()
  const acks = new AckTimes()
  const arrived: number[] = []
  let now = start
  let sentCount = 0
  let messageId = newId('msg')
  let lostMs: number | null = null
  const next = (values: readonly number[]) => values[sentCount % values.length] ?? 0
  while (now < start + options.ms) {
    const everyMs = options.reconnectEveryMs
    const pace = paceAt(rate, burst, now, everyMs === undefined ? null : now - ((now - start) % everyMs))
    const intervalMs = jittered(pace.intervalMs ?? 0, messageId)
    const { recipient } = request()
    const sentBefore = acks.sentBefore(now)
    const previous = sentBefore && { recipient, ...sentBefore }
    const answer = await reserve(redis, prefix, request({ messageId, intervalMs, burst, aheadMs: pace.aheadMs, previous }), now)
    if (answer.kind !== 'granted') {
      now += answer.waitMs + next(options.lateMs)
      continue
    }
    lostMs ??= next(options.lostMs ?? [0])
    if (lostMs > 0) {
      now += lostMs
      lostMs = 0
      continue
    }
    const nextAt = now + answer.waitMs
    // It is on its phone when it is acked, and the next one waits for that.
    const ackMs = next(options.ackMs ?? [0])
    now += ackMs
    acks.record(now, ackMs)
    arrived.push(now)
    now = Math.max(now, nextAt) + next(options.lateMs) + next(options.pauses)
    sentCount += 1
    messageId = newId('msg')
    lostMs = null
  }
  return arrived
}

/** The most in any window of a minute that begins with a message. */
function mostInAMinute(times: readonly number[]): number {
  return Math.max(0, ...times.map((from, i) => times.slice(i).filter((at) => at < from + minute).length))
}

test('never more than the rate and the burst in any minute, whatever the pauses, and however late acks come', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 120 }),
      fc.integer({ min: 1, max: 10 }),
      fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 20_000 })), { minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 5 }),
      fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 10_000 })), { minLength: 1, maxLength: 6 }),
      async (rate, burst, pauses, lateMs, ackMs) => {
        const left = await sendFor(rate, burst, { ms: 3 * minute, pauses, lateMs, ackMs })
        expect(mostInAMinute(left)).toBeLessThanOrEqual(rate + burst - 1)
      },
    ),
    { numRuns: 60 },
  )
})

test('nor when it is connected again and again, whatever is left of a burst', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 120 }),
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 90_000 })), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 500, max: 150_000 }),
      async (rate, burst, pauses, reconnectEveryMs) => {
        const left = await sendFor(rate, burst, { ms: 5 * minute, pauses, lateMs: [1, 40], ackMs: [7, 30, 12], reconnectEveryMs })
        expect(mostInAMinute(left)).toBeLessThanOrEqual(rate + burst - 1)
      },
    ),
    { numRuns: 40 },
  )
})

test('nor when what was granted could not leave for a while and is granted again', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 120 }),
      fc.integer({ min: 1, max: 10 }),
      fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 90_000 }), { minLength: 1, maxLength: 3 }),
      async (rate, burst, lateMs, outagesMs) => {
        // After each outage more than a minute in which everything goes well.
        const lostMs = outagesMs.flatMap((ms) => [ms, ...Array.from({ length: rate + burst + 3 }, () => 0)])
        const left = await sendFor(rate, burst, { ms: 5 * minute, pauses: [0], lateMs, ackMs: [7, 30, 12], lostMs })
        expect(mostInAMinute(left)).toBeLessThanOrEqual(rate + burst - 1)
      },
    ),
    { numRuns: 30 },
  )
})

test.each([6, 20, 60, 600, 1_200])('at %i a minute at least 97 % of the rate is used when there is work', async (rate) => {
  const ms = rate > 100 ? 2 * minute : 10 * minute
  const left = await sendFor(rate, 1, { ms, pauses: [0], lateMs: [1, 3, 12, 2], ackMs: [7, 30, 12], lostMs: [0, 0, 4] })
  expect(left.length / (rate * (ms / minute))).toBeGreaterThanOrEqual(0.97 - 1 / rate / (ms / minute))
  expect(mostInAMinute(left)).toBeLessThanOrEqual(rate)
})

test('a message that could not leave is granted again without a second slot, and the next one waits for it', async () => {
  const prefix = newPrefix()
  const first = request({ intervalMs: 1_000 })
  await openPace(redis, prefix, { sessionId: 'ses_1', intervalMs: 1_000, burst: 1, rampSince: null, isNew: false }, start - 5_000)
  expect(await reserve(redis, prefix, first, start)).toMatchObject({ kind: 'granted' })
  expect(await reserve(redis, prefix, first, start + 1)).toEqual({ kind: 'granted', waitMs: 800 })
  expect(await reserve(redis, prefix, first, start + 40_000)).toEqual({ kind: 'granted', waitMs: 800 })
  const next = request({ intervalMs: 1_000 })
  expect(await reserve(redis, prefix, next, start + 40_001)).toEqual({ kind: 'session', waitMs: 799 })
  expect(await reserve(redis, prefix, next, start + 40_800)).toMatchObject({ kind: 'granted' })
})

test('a message that others went before after all does not wait for its own recipient', async () => {
  const prefix = newPrefix()
  await openPace(redis, prefix, { sessionId: 'ses_1', intervalMs: 100, burst: 1, rampSince: null, isNew: false }, start - 60_000)
  const paced = { intervalMs: 100, recipientMs: 6_000 }
  const first = request(paced)
  const other = request({ ...paced, recipient: '254700000002@s.whatsapp.net' })
  expect((await reserve(redis, prefix, first, start)).kind).toBe('granted')
  expect((await reserve(redis, prefix, other, start + 100)).kind).toBe('granted')
  expect(await reserve(redis, prefix, request(paced), start + 200)).toEqual({ kind: 'recipient', waitMs: 5_800 })
  expect((await reserve(redis, prefix, first, start + 200)).kind).toBe('granted')
  expect(await reserve(redis, prefix, request(paced), start + 300)).toEqual({ kind: 'recipient', waitMs: 5_900 })
})

test('missing state counts as just sent, burst and all, for the session and for every recipient', async () => {
  const prefix = newPrefix()
  const paced = { intervalMs: 1_000, burst: 3, recipientMs: 9_000 }
  expect(await reserve(redis, prefix, request(paced), start)).toEqual({ kind: 'session', waitMs: 1_000 })
  expect(await reserve(redis, prefix, request(paced), start + 1_000)).toEqual({ kind: 'recipient', waitMs: 8_000 })
  const stranger = { recipient: '254700000099@s.whatsapp.net' }
  expect(await reserve(redis, prefix, request({ ...paced, ...stranger }), start + 8_999)).toMatchObject({ kind: 'recipient' })
  expect(await reserve(redis, prefix, request({ ...paced, ...stranger }), start + 9_000)).toMatchObject({ kind: 'granted' })
})

test('a session that was never connected has nothing to wait for', async () => {
  const prefix = newPrefix()
  const paced = { intervalMs: 1_000, recipientMs: 9_000 }
  await openPace(redis, prefix, { sessionId: 'ses_1', intervalMs: 1_000, burst: 1, rampSince: null, isNew: true }, start)
  expect((await reserve(redis, prefix, request(paced), start)).kind).toBe('granted')
  await openPace(redis, prefix, { sessionId: 'ses_1', intervalMs: 1_000, burst: 1, rampSince: null, isNew: true }, start)
  expect((await reserve(redis, prefix, request(paced), start)).kind).toBe('session')
})

test('one recipient waits, another does not, and the wait is counted from the ack', async () => {
  const prefix = newPrefix()
  await openPace(redis, prefix, { sessionId: 'ses_1', intervalMs: null, burst: 1, rampSince: null, isNew: false }, start - 60_000)
  const paced = { recipientMs: 6_000 }
  const other = '254700000002@s.whatsapp.net'
  const ask = (changes: Partial<PacingRequest>, at: number) => reserve(redis, prefix, request({ ...paced, ...changes }), at)
  expect((await ask({}, start)).kind).toBe('granted')
  expect(await ask({}, start + 1_000)).toEqual({ kind: 'recipient', waitMs: 5_000 })
  const previous = { recipient: request().recipient, ackedAgoMs: 500, sentAgoMs: 500 }
  expect((await ask({ recipient: other, previous }, start + 3_000)).kind).toBe('granted')
  expect(await ask({}, start + 3_000)).toEqual({ kind: 'recipient', waitMs: 5_500 })
  expect((await ask({}, start + 8_500)).kind).toBe('granted')
})

test('a recipient’s time is a number alone: workers and APIs of an older version read it while a fleet is upgraded', async () => {
  const prefix = newPrefix()
  await openPace(redis, prefix, { sessionId: 'ses_1', intervalMs: null, burst: 1, rampSince: null, isNew: true }, start)
  const granted = request({ recipientMs: 6_000 })
  expect((await reserve(redis, prefix, granted, start)).kind).toBe('granted')
  const keys = await redis.keys(`${prefix}:session:ses_1:pace:*`)
  const values = await Promise.all(keys.map((key) => redis.get(key)))
  expect(values.filter((value) => value !== granted.messageId).map(Number)).toEqual([start + 6_000])
})

test('a message that was acked late counts as sent late', async () => {
  const prefix = newPrefix()
  const paced = { intervalMs: 3_000 }
  await openPace(
    redis,
    prefix,
    { sessionId: 'ses_1', intervalMs: 3_000, burst: 1, rampSince: null, isNew: false },
    start - 60_000,
  )
  expect((await reserve(redis, prefix, request(paced), start)).kind).toBe('granted')
  const previous = { recipient: request().recipient, ackedAgoMs: 100, sentAgoMs: 500 }
  const answer = await reserve(redis, prefix, request({ ...paced, previous }), start + 10_000)
  expect(answer).toEqual({ kind: 'session', waitMs: 2_500 })
})

test('no clock and no former setting makes a session wait longer than its present setting can', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: -1e9, max: 1e9 }), fc.integer({ min: 1, max: 5 }), async (jump, burst) => {
      const prefix = newPrefix()
      await openPace(redis, prefix, { sessionId: 'ses_1', intervalMs: 600_000, burst: 5, rampSince: null, isNew: false }, start)
      const answer: PacingAnswer = await reserve(redis, prefix, request({ intervalMs: 1_000, burst }), start + jump)
      expect(answer.waitMs).toBeLessThanOrEqual(1_000)
    }),
    { numRuns: 50 },
  )
})

test('nor any recipient: a longer interval that was set before is waited for once, in the present length', async () => {
  const prefix = newPrefix()
  await openPace(redis, prefix, { sessionId: 'ses_1', intervalMs: null, burst: 1, rampSince: null, isNew: false }, start - 1e9)
  expect((await reserve(redis, prefix, request({ recipientMs: 3_600_000 }), start)).kind).toBe('granted')
  const next = request({ recipientMs: 200 })
  expect(await reserve(redis, prefix, next, start + 1_000)).toEqual({ kind: 'recipient', waitMs: 200 })
  expect(await reserve(redis, prefix, next, start + 1_100)).toEqual({ kind: 'recipient', waitMs: 100 })
  expect((await reserve(redis, prefix, next, start + 1_200)).kind).toBe('granted')
})

test('the fleet gives each session a turn of its own, in the order asked, at its rate', async () => {
  const prefix = newPrefix()
  const ask = (n: number, at: number, fleetIntervalMs: number | null = 100) =>
    reserve(redis, prefix, request({ sessionId: `ses_${n}`, fleetIntervalMs, intervalMs: null }), at)
  for (let n = 0; n < 5; n += 1)
    await openPace(redis, prefix, { sessionId: `ses_${n}`, intervalMs: null, burst: 1, rampSince: null, isNew: false }, start)
  const waits: number[] = []
  for (let n = 0; n < 5; n += 1) {
    const answer = await ask(n, start)
    expect(answer).toMatchObject({ kind: 'fleet', isTurnKept: true })
    waits.push(answer.waitMs)
  }
  expect(waits).toEqual([100, 200, 300, 400, 500])
  expect(await ask(0, start + 100, null)).toMatchObject({ kind: 'granted' })
  for (let n = 5; n < 400; n += 1) await ask(n, start)
  expect(await ask(400, start)).toMatchObject({ kind: 'fleet', isTurnKept: false })
})
