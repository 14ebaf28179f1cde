// Endpoints and deliveries: kept, changed and counted, what is sealed put in the place of what was, attempts written together.
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  type AttemptRecord,
  type DeliveryAttempt,
  type DeliveryRecord,
  type Describe,
  type EndpointRecord,
  type Outcome,
} from '../../src/store/event-store.ts'
import { newEndpoint, newSession, tellsNothing } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'
import { describeStores } from '../support/store-kinds.ts'

describeStores('webhooks', (t) => {
  const deliver = async (endpointId: string, sessionId: string): Promise<DeliveryRecord> => {
    const [delivery] = await t.store.deliveries.create([
      { eventId: 'evt_x', endpointId, sessionId, eventType: 'message.sent', nextAttemptAt: 1_000 },
    ])
    if (!delivery) throw new Error('no delivery')
    return delivery
  }
  const attempt = (at: number, status: number | null = 500) => ({ at, status, durationMs: 3, error: null, answer: 'no' })
  const record = (deliveryId: string, made: DeliveryAttempt, next: AttemptRecord['next']) =>
    t.store.deliveries.recordAttempts([{ deliveryId, attempt: made, next }])

  test('endpoints are kept, listed by whose they are, changed and removed with their deliveries', async () => {
    const id = await createHeldSession(t.store)
    const own = [1, 2, 3].map((createdAt) => newEndpoint({ sessionId: id, createdAt }))
    const fleet = newEndpoint({ createdAt: 9, sealedHeaders: Uint8Array.of(7), previousSecretUntil: 5 })
    for (const endpoint of [...own, fleet]) await t.store.endpoints.create(endpoint)
    expect(await t.store.endpoints.get(fleet.id)).toEqual(fleet)
    const idsOf = async (query: { sessionId?: string | null }) =>
      (await t.store.endpoints.list({ ...query, limit: 10 })).data.map((endpoint) => endpoint.id)
    const newestFirst = own.map((endpoint) => endpoint.id).toReversed()
    expect(await idsOf({ sessionId: id })).toEqual(newestFirst)
    expect(await idsOf({ sessionId: null })).toEqual([fleet.id])
    expect(await idsOf({})).toEqual([fleet.id, ...newestFirst])
    const page = await t.store.endpoints.list({ sessionId: id, limit: 2 })
    const rest = await t.store.endpoints.list({ sessionId: id, limit: 2, cursor: page.nextCursor ?? '' })
    expect(rest.data.map((endpoint) => endpoint.id)).toEqual(newestFirst.slice(2))

    const changes = { url: 'https://other.example', sealedPreviousSecret: Uint8Array.of(5), updatedAt: 20 }
    expect(await t.store.endpoints.update(fleet.id, changes)).toEqual({ ...fleet, ...changes })
    expect(await t.store.endpoints.get(fleet.id)).toEqual({ ...fleet, ...changes })
    expect(await t.store.endpoints.update('whk_none', changes)).toBeNull()
    const next = { sealedSecret: Uint8Array.of(9) }
    expect(await t.store.endpoints.update(fleet.id, next, Uint8Array.of(1, 2))).toBeNull()
    expect(await t.store.endpoints.update(fleet.id, next, fleet.sealedSecret)).toMatchObject(next)
    expect(await t.store.endpoints.update(fleet.id, next, fleet.sealedSecret)).toBeNull()

    const delivery = await deliver(fleet.id, id)
    expect(await t.store.endpoints.remove(fleet.id)).toBe(true)
    expect(await t.store.endpoints.remove(fleet.id)).toBe(false)
    expect(await t.store.deliveries.get(delivery.id)).toBeNull()
    expect(await t.store.deliveries.countByStatus(fleet.id)).toEqual({ pending: 0, succeeded: 0, failed: 0, dead: 0 })
  })

  test('an endpoint is disabled once, and those are told that may see it', async () => {
    const [id, other] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    const endpoint = newEndpoint({ sessionId: id })
    const rest = [newEndpoint({ sessionId: id }), newEndpoint(), newEndpoint()]
    const [own = '', fleet = '', otherFleet = ''] = rest.map((each) => each.id)
    for (const each of [endpoint, ...rest]) await t.store.endpoints.create(each)
    const tellsEndpoint: Describe<EndpointRecord> = ({ sessionId }) => [
      { type: 'webhook.disabled', data: { endpoint: { sessionId } } },
    ]
    const gone = { reason: 'gone', at: 5, sessionId: id }
    const toldTo = (outcome: Outcome<EndpointRecord> | null) =>
      outcome?.published.flatMap(({ deliveries }) => deliveries.map(({ endpointId }) => endpointId))

    const disabled = await t.store.endpoints.disable(endpoint.id, { ...gone, sessionId: other }, tellsEndpoint)
    expect(disabled).toMatchObject({
      record: { enabled: false, disabledReason: 'gone', updatedAt: 5 },
      published: [{ event: { type: 'webhook.disabled', sessionId: id } }],
    })
    expect(new Set(toldTo(disabled))).toEqual(new Set([own, fleet, otherFleet]))
    expect(await t.store.endpoints.disable(endpoint.id, { ...gone, at: 6 }, tellsEndpoint)).toBeNull()
    expect(await t.store.endpoints.disable('whk_none', gone, tellsEndpoint)).toBeNull()

    const disabledFleet = await t.store.endpoints.disable(fleet, gone, tellsEndpoint)
    expect(disabledFleet?.published).toMatchObject([{ event: { type: 'webhook.disabled', sessionId: id, sequence: 2 } }])
    expect(toldTo(disabledFleet)).toEqual([otherFleet])
    expect(await t.store.endpoints.disable(otherFleet, { ...gone, sessionId: 'ses_gone' }, tellsEndpoint)).toMatchObject({
      record: { enabled: false },
      published: [],
    })
  })

  test('that an endpoint of the fleet is disabled is told, also when the session whose delivery it was is gone', async () => {
    const id = await createHeldSession(t.store)
    const [fleet, otherFleet] = [newEndpoint(), newEndpoint()]
    for (const each of [fleet, otherFleet]) await t.store.endpoints.create(each)
    await t.store.events.append(id, [{ type: 'message.sent', data: {} }])
    await t.store.sessions.remove(id, 1)
    const gone = { reason: 'gone', at: Date.now(), sessionId: id }
    const disabled = await t.store.endpoints.disable(fleet.id, gone, () => [{ type: 'webhook.disabled', data: {} }])
    expect(disabled?.published).toMatchObject([
      { event: { type: 'webhook.disabled', sessionId: id, sequence: 2 }, deliveries: [{ endpointId: otherFleet.id }] },
    ])
    const log = await t.store.events.read({ limit: 9 })
    expect(log.events.map(({ type }) => type)).toEqual(['message.sent', 'webhook.disabled'])
  })

  test('endpoints are counted by state: what somebody switched off is not ill', async () => {
    const states = [{}, {}, { enabled: false, disabledReason: 'requested' }, { enabled: false, disabledReason: 'gone' }]
    expect(await t.store.endpoints.countByState()).toEqual({ enabled: 0, disabled: 0, off: 0 })
    for (const each of [...states, { enabled: false, disabledReason: 'failing_for_5_days' }]) {
      await t.store.endpoints.create(newEndpoint(each))
    }
    expect(await t.store.endpoints.countByState()).toEqual({ enabled: 2, disabled: 2, off: 1 })
  })

  test('what is sealed is replaced while it is still what was read, and nothing else changes', async () => {
    const bytes = () => new Uint8Array(randomBytes(40))
    const sealed = { sealedSecret: bytes(), sealedHeaders: bytes(), sealedPreviousSecret: bytes() }
    const bare = { sealedSecret: bytes(), sealedHeaders: null, sealedPreviousSecret: null }
    const [full, plain] = [newEndpoint({ ...sealed, previousSecretUntil: 7 }), newEndpoint(bare)]
    for (const endpoint of [full, plain]) await t.store.endpoints.create(endpoint)
    const anew = (endpoint: EndpointRecord) => ({
      sealedSecret: bytes(),
      sealedHeaders: endpoint.sealedHeaders && bytes(),
      sealedPreviousSecret: endpoint.sealedPreviousSecret && bytes(),
    })
    for (const endpoint of [full, plain]) {
      const to = anew(endpoint)
      expect(await t.store.endpoints.reseal(endpoint.id, endpoint, to)).toBe(true)
      expect(await t.store.endpoints.get(endpoint.id)).toEqual({ ...endpoint, ...to })
      expect(await t.store.endpoints.reseal(endpoint.id, endpoint, anew(endpoint))).toBe(false)
      for (const changed of [{ sealedSecret: bytes() }, { sealedHeaders: bytes() }, { sealedPreviousSecret: bytes() }]) {
        expect(await t.store.endpoints.reseal(endpoint.id, { ...to, ...changed }, anew(endpoint))).toBe(false)
      }
      expect(await t.store.endpoints.get(endpoint.id)).toEqual({ ...endpoint, ...to })
    }
    expect(await t.store.endpoints.reseal('whk_none', full, anew(full))).toBe(false)
  })

  test('a secret that is rotated while others reseal is never put back', async () => {
    const bytes = () => new Uint8Array(randomBytes(40))
    const another = await t.another()
    for (let round = 0; round < 10; round += 1) {
      const endpoint = newEndpoint({ sealedSecret: bytes(), sealedHeaders: null, sealedPreviousSecret: null })
      await t.store.endpoints.create(endpoint)
      const [fresh, resealed] = [bytes(), bytes()]
      const to = { sealedSecret: resealed, sealedHeaders: null, sealedPreviousSecret: null }
      const [rotated, isResealed] = await Promise.all([
        another.endpoints.update(endpoint.id, { sealedSecret: fresh, updatedAt: 9 }, endpoint.sealedSecret),
        t.store.endpoints.reseal(endpoint.id, endpoint, to),
      ])
      expect([rotated !== null, isResealed].filter(Boolean)).toHaveLength(1)
      expect((await t.store.endpoints.get(endpoint.id))?.sealedSecret).toEqual(isResealed ? resealed : fresh)
    }
  })

  test('attempts are kept and counted, the last twenty shown; what has succeeded or is dead stays so', async () => {
    const endpoint = newEndpoint()
    await t.store.endpoints.create(endpoint)
    const { id } = await deliver(endpoint.id, 'ses_1')
    for (let i = 1; i <= 25; i++) await record(id, attempt(i), { status: 'failed', nextAttemptAt: 50 + i })
    const failed = await t.store.deliveries.get(id)
    expect(failed).toMatchObject({ status: 'failed', attemptCount: 25, nextAttemptAt: 75 })
    expect(failed?.attempts.map(({ at }) => at)).toEqual(Array.from({ length: 20 }, (_, i) => i + 6))
    await record(id, attempt(30, 200), { status: 'succeeded', nextAttemptAt: null })
    const succeeded = { status: 'succeeded', nextAttemptAt: null, deadReason: null }
    expect(await t.store.deliveries.get(id)).toMatchObject({ ...succeeded, attemptCount: 26, updatedAt: failed?.updatedAt })
    await record(id, attempt(31), { status: 'failed', nextAttemptAt: 99 })
    const noted = await t.store.deliveries.get(id)
    expect(noted).toMatchObject({ ...succeeded, attemptCount: 27 })
    expect(noted?.attempts.slice(-2)).toEqual([attempt(30, 200), attempt(31)])
    const dead = await deliver(endpoint.id, 'ses_1')
    const end = { status: 'dead' as const, nextAttemptAt: null, deadReason: 'retries_exhausted' }
    await record(dead.id, attempt(1), end)
    expect(await t.store.deliveries.get(dead.id)).toMatchObject({ status: 'dead', deadReason: 'retries_exhausted' })
    await record(dead.id, attempt(2), { status: 'failed', nextAttemptAt: 9 })
    expect(await t.store.deliveries.get(dead.id)).toMatchObject({ status: 'dead', deadReason: 'retries_exhausted' })
    await record('dlv_none', attempt(1), end)
    expect(await t.store.deliveries.countByStatus(endpoint.id)).toEqual({ pending: 0, succeeded: 1, failed: 0, dead: 1 })
    expect(await t.store.deliveries.countByStatus()).toEqual({ pending: 0, succeeded: 1, failed: 0, dead: 1 })
  })

  test('attempts of many deliveries are written together, whatever each of them was', async () => {
    const endpoint = newEndpoint()
    await t.store.endpoints.create(endpoint)
    const [a, b, buried] = [await deliver(endpoint.id, 's'), await deliver(endpoint.id, 's'), await deliver(endpoint.id, 's')]
    await t.store.deliveries.bury([buried.id], 'endpoint_disabled', 1)
    const succeeded = { status: 'succeeded' as const, nextAttemptAt: null }
    const failed = { status: 'failed' as const, nextAttemptAt: 500 }
    // What a receiver answers is text, however much it looks like the store's own language.
    const odd = { ...attempt(2), answer: '$status \u0000 {"$set": 1} \' ❤' }
    await t.store.deliveries.recordAttempts([])
    await t.store.deliveries.recordAttempts([
      { deliveryId: a.id, attempt: attempt(1), next: failed },
      { deliveryId: b.id, attempt: odd, next: failed },
      { deliveryId: 'dlv_none', attempt: attempt(1), next: failed },
      { deliveryId: buried.id, attempt: attempt(1, 200), next: succeeded },
      { deliveryId: a.id, attempt: attempt(3, 200), next: succeeded },
    ])
    const found = await Promise.all([a, b, buried].map(async ({ id }) => t.store.deliveries.get(id)))
    expect(found).toMatchObject([
      { status: 'succeeded', attemptCount: 2, nextAttemptAt: null, attempts: [attempt(1), attempt(3, 200)] },
      { status: 'failed', attemptCount: 1, nextAttemptAt: 500, attempts: [odd] },
      { status: 'dead', attemptCount: 1, nextAttemptAt: null, deadReason: 'endpoint_disabled', attempts: [attempt(1, 200)] },
    ])
    expect(await t.store.deliveries.countByStatus(endpoint.id)).toEqual({ pending: 0, succeeded: 1, failed: 1, dead: 1 })
    expect((await t.store.deliveries.listDue(endpoint.id, 1_000, 10)).map(({ id }) => id)).toEqual([b.id])
  })

  test('an attempt that is written again, because nobody knows whether it was, counts once', async () => {
    const [open, done] = [await deliver('whk_1', 's'), await deliver('whk_1', 's')]
    const records: AttemptRecord[] = [
      { deliveryId: open.id, attempt: attempt(1), next: { status: 'failed', nextAttemptAt: 50 } },
      { deliveryId: done.id, attempt: attempt(1, 200), next: { status: 'succeeded', nextAttemptAt: null } },
    ]
    await t.store.deliveries.recordAttempts(records)
    await t.store.deliveries.postpone([{ deliveryId: open.id, attemptCount: 1, nextAttemptAt: 90 }])
    await t.store.deliveries.recordAttempts(records)
    for (const each of records) await t.store.deliveries.recordAttempts([each])
    expect(await t.store.deliveries.get(open.id)).toMatchObject({ attemptCount: 1, attempts: [attempt(1)], nextAttemptAt: 90 })
    expect(await t.store.deliveries.get(done.id)).toMatchObject({ status: 'succeeded', attemptCount: 1, attempts: [{ at: 1 }] })
  })

  test('what is due comes oldest first; postponing and burying touch only what is still open', async () => {
    const endpoint = newEndpoint()
    await t.store.endpoints.create(endpoint)
    const [a, b, c, done] = [
      await deliver(endpoint.id, 's'),
      await deliver(endpoint.id, 's'),
      await deliver(endpoint.id, 's'),
      await deliver(endpoint.id, 's'),
    ]
    await record(done.id, attempt(1, 200), { status: 'succeeded', nextAttemptAt: null })
    await record(b.id, attempt(1), { status: 'failed', nextAttemptAt: 500 })
    const due = async (now: number, limit = 10) => (await t.store.deliveries.listDue(endpoint.id, now, limit)).map(({ id }) => id)
    expect(await due(499)).toEqual([])
    expect(await due(1_000)).toEqual([b.id, a.id, c.id])
    expect(await due(1_000, 1)).toEqual([b.id])
    const postponed = (deliveryId: string, attemptCount: number, nextAttemptAt: number) => ({
      deliveryId,
      attemptCount,
      nextAttemptAt,
    })
    await t.store.deliveries.postpone([])
    await t.store.deliveries.postpone([postponed(a.id, 0, 2_000), postponed(done.id, 1, 2_000), postponed('dlv_none', 0, 2_000)])
    expect(await due(1_999)).toEqual([b.id, c.id])
    // Either way, but by nobody who does not know of the last attempt.
    await t.store.deliveries.postpone([postponed(a.id, 0, 400), postponed(b.id, 0, 3_000)])
    expect(await due(1_999)).toEqual([a.id, b.id, c.id])
    await t.store.deliveries.postpone([postponed(a.id, 0, 2_000)])
    await t.store.deliveries.bury([b.id, done.id, 'dlv_none'], 'endpoint_disabled', 60)
    expect(await t.store.deliveries.get(b.id)).toMatchObject({
      status: 'dead',
      deadReason: 'endpoint_disabled',
      nextAttemptAt: null,
      attemptCount: 1,
      updatedAt: 60,
    })
    expect(await t.store.deliveries.get(done.id)).toMatchObject({ status: 'succeeded', nextAttemptAt: null })
    expect(await due(5_000)).toEqual([c.id, a.id])
  })

  test('what is due of one endpoint hides nothing of the others, however much it is', async () => {
    for (const id of ['whk_a', 'whk_b', 'whk_c', 'whk_d']) await t.store.endpoints.create(newEndpoint({ id }))
    const event = { eventId: 'evt_1', sessionId: 's', eventType: 'message.sent' as const }
    const made = async (endpointId: string, times: number[]) =>
      t.store.deliveries.create(times.map((nextAttemptAt) => ({ ...event, endpointId, nextAttemptAt })))
    const crowd = Array.from({ length: 600 }, (_, n) => 1 + n)
    await made('whk_a', crowd)
    await made('whk_b', [2_000])
    const [late, early] = await made('whk_c', [900, 800])
    const [ended] = await made('whk_d', [5])
    await t.store.deliveries.bury([ended?.id ?? ''], 'x', 1)
    const list = (query: { now: number; after?: string; limit?: number }) =>
      t.store.deliveries.listDueEndpoints({ limit: 10, ...query })
    expect(await list({ now: 0 })).toEqual([])
    expect(await list({ now: 300 })).toEqual(['whk_a'])
    expect(await list({ now: 1_000 })).toEqual(['whk_a', 'whk_c'])
    expect(await list({ now: 1_000, limit: 1 })).toEqual(['whk_a'])
    expect(await list({ now: 3_000, after: 'whk_a' })).toEqual(['whk_b', 'whk_c'])
    expect((await t.store.deliveries.listDue('whk_c', 1_000, 9)).map(({ id }) => id)).toEqual([early?.id, late?.id])
  })

  test('deliveries of an endpoint are listed newest first, by status, page by page', async () => {
    const input = newSession({}, {})
    await t.store.sessions.create(input, tellsNothing)
    const endpointId = input.endpoint?.id ?? ''
    const ids: string[] = []
    for (let i = 0; i < 5; i++) ids.push((await deliver(endpointId, input.session.id)).id)
    await deliver(newEndpoint().id, input.session.id)
    await t.store.deliveries.bury([ids[1] ?? '', ids[3] ?? ''], 'x', 1)
    const first = await t.store.deliveries.list({ endpointId, limit: 3 })
    const second = await t.store.deliveries.list({ endpointId, limit: 3, cursor: first.nextCursor ?? '' })
    expect([...first.data, ...second.data].map(({ id }) => id)).toEqual(ids.toReversed())
    expect(second.nextCursor).toBeNull()
    const dead = await t.store.deliveries.list({ endpointId, status: 'dead', limit: 1 })
    const dead2 = await t.store.deliveries.list({ endpointId, status: 'dead', limit: 1, cursor: dead.nextCursor ?? '' })
    expect([...dead.data, ...dead2.data].map(({ id }) => id)).toEqual([ids[3], ids[1]])
  })
})
