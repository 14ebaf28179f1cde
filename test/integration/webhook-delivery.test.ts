// Deliveries through real queues, a real store and a real receiver: signed, retried, given up, and never after the endpoint is gone.
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SharedMetrics } from '../../src/platform/metrics.ts'
import { BreakerStates, countBreakers } from '../../src/webhooks/breaker-state.ts'
import { breakerDefaults } from '../../src/webhooks/endpoint-breaker.ts'
import { editEndpoint, rotateSecret } from '../../src/webhooks/create-endpoint.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { waitFor } from '../support/wait.ts'
import { draft, loopbackAllowed, silentLog, startWebhookBench, type WebhookBench } from '../support/webhooks.ts'

let bench: WebhookBench
let receiver: Receiver
beforeEach(async () => {
  ;[bench, receiver] = await Promise.all([startWebhookBench(), startReceiver()])
})
afterEach(async () => {
  await bench.close()
  await receiver.close()
})

const ended = async (id: string) =>
  waitFor(`delivery ${id} has ended`, async () => {
    const delivery = await bench.delivery(id)
    return ['succeeded', 'dead'].includes(delivery.status) ? delivery : null
  })
const attempted = async (id: string, count = 1) =>
  waitFor(`delivery ${id} was attempted ${count} times`, async () => {
    const delivery = await bench.delivery(id)
    return delivery.attemptCount >= count ? delivery : null
  })
const only = (ids: string[]): string => {
  expect(ids).toHaveLength(1)
  return ids[0] ?? ''
}

describe('a delivery', () => {
  test('arrives once, with a signature that the standardwebhooks package accepts', async () => {
    await bench.endpoint(receiver, { headers: { authorization: 'Bearer receiver-token' } })
    const ids = await bench.publish([draft(1), draft(2), draft(3)])
    const records = await Promise.all(ids.map(ended))
    expect(records.map((record) => record.status)).toEqual(['succeeded', 'succeeded', 'succeeded'])
    expect(receiver.received).toHaveLength(3)
    expect(receiver.received.every((request) => request.isVerified)).toBe(true)
    const [first] = receiver.received
    expect(first?.headers).toMatchObject({ 'content-type': 'application/json', authorization: 'Bearer receiver-token' })
    expect(first?.headers['user-agent']).toMatch(/^Ujumbe\//)
    expect(first?.headers['webhook-id']).toBe(first?.event.id)
    expect(receiver.received.map((request) => request.event.sequence).toSorted((a, b) => a - b)).toEqual([1, 2, 3])
    expect(records[0]?.attempts).toEqual([expect.objectContaining({ status: 204, error: null })])
    await waitFor('no job is left', async () => (await bench.deliveryQueue.queue.getJobCounts())['active'] === 0)
    expect(await bench.deliveryQueue.queue.getJobCounts('wait', 'delayed', 'completed', 'failed')).toEqual({
      wait: 0,
      delayed: 0,
      completed: 0,
      failed: 0,
    })
  })

  test('that met a 500 is recorded, retried by the tick with the same id, and arrives', async () => {
    await bench.endpoint(receiver)
    await bench.startRetryTick()
    receiver.answerWith({ status: 500, body: 'out of paper' })
    const id = only(await bench.publish([draft(1)]))
    const failed = await attempted(id)
    expect(failed).toMatchObject({ status: 'failed', attempts: [{ status: 500, error: null, answer: 'out of paper' }] })
    const waitMs = (failed.nextAttemptAt ?? 0) - (failed.attempts[0]?.at ?? 0)
    expect(waitMs).toBeGreaterThanOrEqual(4_000)
    expect(waitMs).toBeLessThanOrEqual(6_500)
    receiver.answerWith({ status: 200 })
    expect(await ended(id)).toMatchObject({ status: 'succeeded', attemptCount: 2 })
    const [first, second] = receiver.received
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id'])
    expect(second?.body).toBe(first?.body)
    expect(receiver.received.every((request) => request.isVerified)).toBe(true)
  })

  test.each([
    ['hang' as const, 'timed_out', null],
    ['stall' as const, 'answer_unfinished', 200],
    ['cut' as const, 'connection_closed', null],
    [{ status: 302, headers: { location: 'http://127.0.0.1:1/' } }, 'redirect_not_followed', 302],
    [{ status: 429, headers: { 'retry-after': '3600' } }, null, 429],
  ])('counts %j as failed', async (answer, error, status) => {
    await bench.endpoint(receiver)
    receiver.answerWith(answer)
    const record = await attempted(only(await bench.publish([draft(1)])))
    expect(record).toMatchObject({ status: 'failed', attempts: [{ error, status }] })
    expect(receiver.received).toHaveLength(1)
  })

  test('comes again no sooner than the receiver asks for', async () => {
    await bench.endpoint(receiver)
    receiver.answerWith({ status: 503, headers: { 'retry-after': '3600' } })
    const record = await attempted(only(await bench.publish([draft(1)])))
    expect((record.nextAttemptAt ?? 0) - (record.attempts[0]?.at ?? 0)).toBeGreaterThanOrEqual(3_600_000)
  })

  test('succeeds although the answer is endless; a kilobyte of it is kept', async () => {
    await bench.endpoint(receiver)
    receiver.answerWith({ status: 200, body: Buffer.alloc(5_000_000, 'ä') })
    const record = await ended(only(await bench.publish([draft(1)])))
    expect(record.status).toBe('succeeded')
    expect(Buffer.byteLength(record.attempts[0]?.answer ?? '')).toBeLessThanOrEqual(1_026)
  })

  test('to nobody listening fails with a word, not with an address', async () => {
    await bench.endpoint(receiver)
    await receiver.close()
    const record = await attempted(only(await bench.publish([draft(1)])))
    expect(record.attempts[0]).toMatchObject({ status: null, error: 'connection_refused', answer: null })
    receiver = await startReceiver()
  })

  test('whose schedule is exhausted is dead', async () => {
    await bench.endpoint(receiver)
    receiver.answerWith({ status: 404 })
    const id = only(await bench.publish([draft(1)], false))
    for (let n = 0; n < 8; n += 1) {
      const attempt = { at: Date.now() - 8 + n, status: 404, durationMs: 1, error: null, answer: null }
      const next = { status: 'failed' as const, nextAttemptAt: Date.now() }
      await bench.store.deliveries.recordAttempts([{ deliveryId: id, attempt, next }])
    }
    await bench.startRetryTick()
    expect(await ended(id)).toMatchObject({
      status: 'dead',
      deadReason: 'retries_exhausted',
      attemptCount: 9,
      nextAttemptAt: null,
    })
  })

  test('that has ended already is not sent again by a second job', async () => {
    await bench.endpoint(receiver)
    const id = only(await bench.publish([draft(1)]))
    const { endpointId } = await ended(id)
    await bench.deliveryQueue.add(id, { endpointId, attempt: 0 })
    await bench.retryQueue.add(id, { endpointId, attempt: 1 })
    const idle = async () => {
      const counts = await Promise.all(
        [bench.deliveryQueue, bench.retryQueue].map(({ queue }) => queue.getJobCounts('wait', 'active')),
      )
      return counts.every((count) => count['wait'] === 0 && count['active'] === 0)
    }
    await waitFor('both jobs are gone', idle)
    expect(receiver.received).toHaveLength(1)
  })
})

describe('an endpoint', () => {
  test('that answers 410 is disabled, its delivery is dead, and the others are told', async () => {
    const gone = await bench.endpoint(receiver)
    const other = await startReceiver()
    await bench.endpoint(other, { events: ['webhook.disabled'] })
    receiver.answerWith({ status: 410 })
    const id = only(await bench.publish([draft(1)]))
    expect(await ended(id)).toMatchObject({ status: 'dead', deadReason: 'endpoint_gone', attemptCount: 1 })
    const told = await waitFor('webhook.disabled has arrived', () => other.received[0])
    expect(told.event).toMatchObject({
      type: 'webhook.disabled',
      data: { endpoint: { id: gone.id, enabled: false, disabledReason: 'gone', breaker: { state: 'closed' } } },
    })
    expect(told.body).not.toContain('whsec_')
    expect(await bench.publish([draft(2)])).toEqual([])
    await other.close()
  })

  test('that has failed for five days is disabled at its next failure', async () => {
    const { id: endpointId } = await bench.endpoint(receiver)
    const day = 24 * 3_600_000
    await bench.store.endpoints.update(endpointId, { failingSince: Date.now() - 5 * day, failedAt: Date.now() - day / 2 })
    receiver.answerWith({ status: 500 })
    const states = new BreakerStates(bench.connection, bench.prefix)
    await states.fail(endpointId, Date.now(), { ...breakerDefaults, openMs: 1 }, true)
    await waitFor('the breaker lets one through', async () => (await states.view(endpointId)).state === 'half-open')
    await bench.publish([draft(1)])
    const disabled = await waitFor('the endpoint is disabled', async () => {
      const record = await bench.store.endpoints.get(endpointId)
      return record?.enabled === false ? record : null
    })
    expect(disabled.disabledReason).toBe('failing_for_5_days')
    await waitFor('its breaker is forgotten', async () => (await states.view(endpointId)).state === 'closed')
    expect(await countBreakers(bench.connection, bench.prefix)).toEqual({ open: 0, 'half-open': 0 })
  })

  test('that failed, and then had nothing to take for a week, begins anew at its next failure', async () => {
    const { id: endpointId } = await bench.endpoint(receiver)
    const [before, hour] = [Date.now(), 3_600_000]
    await bench.store.endpoints.update(endpointId, { failingSince: before - 200 * hour, failedAt: before - 175 * hour })
    receiver.answerWith({ status: 500 })
    await bench.publish([draft(1)])
    const now = await waitFor('its record has changed', async () => {
      const record = await bench.store.endpoints.get(endpointId)
      return record?.failingSince === before - 200 * hour && record.enabled ? null : record
    })
    expect([now.enabled, (now.failingSince ?? 0) >= before]).toEqual([true, true])
    // While it goes on failing the last failure is noted, once an hour.
    await bench.store.endpoints.update(endpointId, { failingSince: before - 48 * hour, failedAt: before - 2 * hour })
    await waitFor('a failure is noted', async () => {
      await bench.publish([draft(2)])
      return ((await bench.store.endpoints.get(endpointId))?.failedAt ?? 0) >= before
    })
    expect(await bench.store.endpoints.get(endpointId)).toMatchObject({ enabled: true, failingSince: before - 48 * hour })
  })

  test('forgets its failures at the first success', async () => {
    const { id: endpointId } = await bench.endpoint(receiver)
    receiver.answerWith({ status: 500 })
    await attempted(only(await bench.publish([draft(1)])))
    await waitFor('failingSince is set', async () => (await bench.store.endpoints.get(endpointId))?.failingSince)
    receiver.answerWith({ status: 200 })
    await bench.publish([draft(2)])
    const healthy = async () => {
      const record = await bench.store.endpoints.get(endpointId)
      return record?.failingSince === null ? record : null
    }
    expect((await waitFor('failingSince is gone', healthy)).lastSuccessAt).toBeGreaterThan(0)
  })

  test('that is disabled or deleted gets no attempt, and nobody is alarmed', async () => {
    const metrics = new SharedMetrics({ redis: bench.connection, prefix: bench.prefix, name: 'test', log: silentLog })
    const jobs = async (outcome: string) => {
      const line = new RegExp(`^ujumbe_webhook_jobs_total\\{.*outcome="${outcome}".*\\} (\\d+)$`, 'm')
      return Number(line.exec(await metrics.render(new Registry()))?.[1])
    }
    const before = { dead: await jobs('dead'), discarded: await jobs('discarded') }
    const first = await bench.endpoint(receiver)
    const id = only(await bench.publish([draft(1)], false))
    await bench.store.endpoints.update(first.id, { enabled: false, disabledReason: 'requested' })
    await bench.deliveryQueue.add(id, { endpointId: first.id, attempt: 0 })
    expect(await ended(id)).toMatchObject({ status: 'dead', deadReason: 'endpoint_disabled', attemptCount: 0 })

    const second = await bench.endpoint(receiver)
    const orphan = only(await bench.publish([draft(2)], false))
    await bench.store.endpoints.remove(second.id)
    await bench.deliveryQueue.add(orphan, { endpointId: second.id, attempt: 0 })
    await waitFor('the job is gone', async () => (await bench.deliveryQueue.queue.getJobCountByTypes('wait', 'active')) === 0)
    expect(receiver.received).toHaveLength(0)
    await waitFor('both are counted', async () => (await jobs('discarded')) === before.discarded + 2)
    expect(await jobs('dead')).toBe(before.dead)
    await metrics.close()
  })

  test('signs with both secrets after a rotation, and with the new one alone when the old has run out', async () => {
    const { id } = await bench.endpoint(receiver)
    const oldSecret = receiver.secrets[0] ?? ''
    const deps = { endpoints: bench.store.endpoints, secretBox: bench.secretBox, guardPolicy: loopbackAllowed }
    const { secret } = await rotateSecret(deps, id)
    await Promise.all((await bench.publish([draft(1)])).map(ended))
    receiver.secrets.splice(0, 1, secret)
    await Promise.all((await bench.publish([draft(2)])).map(ended))
    expect(receiver.received.map((request) => request.isVerified)).toEqual([true, true])
    await bench.store.endpoints.update(id, { previousSecretUntil: Date.now() - 1 })
    await waitFor('deliveries carry one signature', async () => {
      await Promise.all((await bench.publish([draft(3)])).map(ended))
      return receiver.received.at(-1)?.headers['webhook-signature']?.includes(' ') === false
    })
    expect(receiver.received.at(-1)?.isVerified).toBe(true)
    receiver.secrets.splice(0, 1, oldSecret)
    await Promise.all((await bench.publish([draft(4)])).map(ended))
    expect(receiver.received.at(-1)?.isVerified).toBe(false)
  })

  test('goes on signing with a secret that was rotated twice, or by two at once', async () => {
    const { id } = await bench.endpoint(receiver)
    const deps = { endpoints: bench.store.endpoints, secretBox: bench.secretBox, guardPolicy: loopbackAllowed }
    const [oldest] = receiver.secrets
    const made = await Promise.all([rotateSecret(deps, id), rotateSecret(deps, id)])
    for (const secret of [oldest, ...made.map((each) => each.secret)]) {
      receiver.secrets.splice(0, 1, secret ?? '')
      await Promise.all((await bench.publish([draft(1)])).map(ended))
    }
    expect(receiver.received.map((request) => request.isVerified)).toEqual([true, true, true])
    for (let n = 0; n < 4; n += 1) await rotateSecret(deps, id)
    await waitFor('four sign at most', async () => {
      await Promise.all((await bench.publish([draft(2)])).map(ended))
      return receiver.received.at(-1)?.isVerified === false
    })
    expect(String(receiver.received.at(-1)?.headers['webhook-signature']).split(' ')).toHaveLength(4)
  })

  test('starts afresh when it is enabled again', async () => {
    const { id } = await bench.endpoint(receiver)
    await bench.store.endpoints.disable(id, { reason: 'gone', at: Date.now(), sessionId: bench.sessionId }, () => [])
    const deps = { endpoints: bench.store.endpoints, secretBox: bench.secretBox, guardPolicy: loopbackAllowed }
    await editEndpoint(deps, id, { enabled: true, url: `${receiver.url}/new` })
    await Promise.all((await bench.publish([draft(1)])).map(ended))
    expect(receiver.received.map((request) => request.path)).toEqual(['/hook/new'])
  })
})
