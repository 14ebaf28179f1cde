// The pure rules of webhooks: the retry schedule, Retry-After, what an endpoint may ask for, and what counts against a receiver.
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkEvents, checkHeaders } from '../../src/webhooks/endpoint.ts'
import { isReceiverFailure, isSuccess, type AttemptResult } from '../../src/webhooks/post-webhook.ts'
import { nextStep, parseRetryAfter, retryDelaysMs } from '../../src/webhooks/retry-schedule.ts'

const now = Date.UTC(2026, 0, 1)

describe('the retry schedule', () => {
  test('is 5 s, 30 s, 2 min, 10 min, 1 h, 3 h, 8 h, 12 h, and then the delivery is dead', () => {
    const waits = retryDelaysMs.map((_, index) => nextStep(index + 1, null, now, () => 0.5))
    expect(waits.map((step) => ((step.nextAttemptAt ?? 0) - now) / 1_000)).toEqual([
      5, 30, 120, 600, 3_600, 10_800, 28_800, 43_200,
    ])
    expect(nextStep(9, null, now)).toEqual({ status: 'dead', nextAttemptAt: null, deadReason: 'retries_exhausted' })
  })

  test('stays within ±20 %, and never comes before what the receiver asked for, up to 12 hours', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.option(fc.integer({ min: 0, max: 10 ** 12 })),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (count, asked, random) => {
          const wait = (nextStep(count, asked, now, () => random).nextAttemptAt ?? 0) - now
          const base = retryDelaysMs[count - 1] ?? 0
          expect(wait).toBeGreaterThanOrEqual(Math.max(base * 0.8 - 1, Math.min(asked ?? 0, 12 * 3_600_000)))
          expect(wait).toBeLessThanOrEqual(Math.max(base * 1.2 + 1, 12 * 3_600_000))
        },
      ),
    )
  })

  test.each([
    ['120', 120_000],
    [' 7 ', 7_000],
    ['Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
    ['Wed, 31 Dec 2025 23:00:00 GMT', 0],
    ['soon', null],
    ['-5', null],
    ['2026-01-01', null],
    ['99999999999999999999', null],
    ['', null],
    [undefined, null],
  ])('reads Retry-After %j as %j', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected)
  })
})

describe('what an endpoint may ask for', () => {
  test('event types, areas and the star, each once', () => {
    expect(checkEvents(['message.*', 'session.qr', '*', 'message.*'])).toEqual(['message.*', 'session.qr', '*'])
  })

  test.each([[['message.nothing']], [['.*']], [['message']], [['']], [['**']], [[]]])('not %j', (events) => {
    expect(() => checkEvents(events)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })

  test.each([
    [{ 'webhook-signature': 'x' }],
    [{ Host: 'x' }],
    [{ 'Content-Type': 'text/plain' }],
    [{ 'Transfer-Encoding': 'chunked' }],
    [{ 'x-a': 'line\r\nbreak' }],
    [{ 'x-a': 'emoji 😀' }],
    [{ 'x a': 'x' }],
    [{ '': 'x' }],
    [{ 'x-a': '1', 'X-A': '2' }],
    [{ 'x-a': 'a'.repeat(5_000) }],
    [Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`x-${i}`, '1']))],
  ])('not the headers %j', (headers) => {
    expect(() => checkHeaders(headers as Record<string, string>)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })

  test('a refusal never repeats a header value', async () => {
    const refusal = await Promise.resolve({ authorization: 'Bearer canary\n' })
      .then(checkHeaders)
      .catch((error: unknown) => error)
    expect(refusal).toMatchObject({ code: 'invalid_request' })
    expect(JSON.stringify([refusal, (refusal as Error).message, (refusal as Error).stack])).not.toContain('canary')
  })

  test('authorization and ordinary headers', () => {
    expect(() => checkHeaders({ authorization: 'Bearer abc', 'x-tenant': 'clinic 7' })).not.toThrow()
  })
})

describe('an attempt', () => {
  const result = (status: number | null, error: string | null = null): AttemptResult => ({
    at: now,
    status,
    durationMs: 1,
    error,
    answer: null,
    retryAfterMs: null,
  })

  test('succeeds with any 2xx in time, and with nothing else', () => {
    expect([200, 201, 204, 299].map((status) => isSuccess(result(status)))).toEqual(Array(4).fill(true))
    expect([199, 300, 302, 400, 410, 500].map((status) => isSuccess(result(status)))).toEqual(Array(6).fill(false))
    expect(isSuccess(result(200, 'answer_unfinished'))).toBe(false)
  })

  test('counts against the receiver when that is unwell, not when it dislikes one event', () => {
    const unwell = [
      result(500),
      result(503),
      result(429),
      result(408),
      result(null, 'timed_out'),
      result(200, 'answer_unfinished'),
    ]
    expect(unwell.map(isReceiverFailure)).toEqual(unwell.map(() => true))
    const dislikes = [result(200), result(302, 'redirect_not_followed'), result(400), result(404), result(410), result(422)]
    expect(dislikes.map(isReceiverFailure)).toEqual(dislikes.map(() => false))
  })
})
