// Events, endpoints and deliveries: written with the change, in order, once.
import { expect, test } from 'vitest'
import { firstAttemptGraceMs, type DeliveryRecord, type EventType } from '../../src/store/event-store.ts'
import { newEndpoint, newMessage, newSession, tells, tellsNothing } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'
import { describeStores } from '../support/store-kinds.ts'

describeStores('outbox', (t) => {
  const append = (sessionId: string, ...types: EventType[]) =>
    t.store.events.append(
      sessionId,
      types.map((type) => ({ type, data: { n: type } })),
    )
  const deliver = async (endpointId: string, sessionId: string): Promise<DeliveryRecord> => {
    const [delivery] = await t.store.deliveries.create([
      { eventId: 'evt_x', endpointId, sessionId, eventType: 'message.sent', nextAttemptAt: 1_000 },
    ])
    if (!delivery) throw new Error('no delivery')
    return delivery
  }
  const attempt = (at: number, status: number | null = 500) => ({ at, status, durationMs: 3, error: null, answer: 'no' })

  test('an event makes a delivery for each enabled endpoint that asked for it, its own and the fleet-wide ones', async () => {
    const [id, other] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    const own = newEndpoint({ sessionId: id, events: ['message.*'] })
    const fleet = newEndpoint({ events: ['session.qr', 'message.sent'] })
    const endpoints = [
      own,
      fleet,
      newEndpoint({ sessionId: other }),
      newEndpoint({ sessionId: id, enabled: false }),
      newEndpoint({ sessionId: id, events: ['session.*'] }),
    ]
    for (const endpoint of endpoints) await t.store.endpoints.create(endpoint)
    const published = await append(id, 'message.sent', 'session.qr', 'message.read')
    expect(published.map(({ deliveries }) => deliveries.map(({ endpointId }) => endpointId).toSorted())).toEqual([
      [own.id, fleet.id].toSorted(),
      [fleet.id],
      [own.id],
    ])
    const [first] = published
    const delivery = await t.store.deliveries.get(first?.deliveries[0]?.id ?? '')
    expect(delivery).toMatchObject({
      id: first?.deliveries[0]?.id,
      eventId: first?.event.id,
      endpointId: first?.deliveries[0]?.endpointId,
      sessionId: id,
      eventType: 'message.sent',
      replayId: null,
      status: 'pending',
      attemptCount: 0,
      nextAttemptAt: (first?.event.at ?? 0) + firstAttemptGraceMs,
      deadReason: null,
      attempts: [],
      createdAt: first?.event.at,
      updatedAt: first?.event.at,
    })
    expect(await t.store.events.get(first?.event.id ?? '')).toEqual(first?.event)
    expect(await t.store.events.get('evt_none')).toBeNull()
  })

  test('when describing fails the change does not stand either', async () => {
    const id = await createHeldSession(t.store)
    const message = newMessage(id)
    await t.store.messages.accept({ message, idempotency: null, maxQueueDepth: 9, now: 1 }, tellsNothing)
    const fail = () => {
      throw new Error('cannot describe')
    }
    const before = await t.store.messages.get(id, message.id)
    await expect(t.store.messages.take({ sessionId: id, id: message.id, epoch: 1, now: 1 }, fail)).rejects.toThrow('describe')
    await expect(t.store.messages.advance(id, message.id, { to: 'sent', at: 1 }, fail)).rejects.toThrow('describe')
    await expect(t.store.messages.cancel(id, message.id, 1, fail)).rejects.toThrow('describe')
    await expect(t.store.sessions.update(id, 1, { status: 'connected' }, fail)).rejects.toThrow('describe')
    expect(await t.store.messages.get(id, message.id)).toEqual(before)
    expect((await t.store.sessions.get(id))?.status).toBe('pending')
    expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 1 })
    expect(await t.store.events.list({ limit: 10 })).toEqual([])
  })

  test('sequences of a session have no gaps, whoever writes at the same moment', async () => {
    const [id, other] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    const stores = [t.store, await t.another()]
    await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        (stores[i % 2] ?? t.store).events.append(i % 4 === 3 ? other : id, [{ type: 'session.status', data: { i } }]),
      ),
    )
    const own = await t.store.events.list({ sessionId: id, limit: 100 })
    expect(own.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1))
    expect(await append('ses_none', 'session.status')).toEqual([])
  })

  test('the log is read on from any cursor, by session also from a sequence, filtered by type', async () => {
    const [a, b] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    for (let i = 0; i < 4; i++) {
      await append(a, 'message.sent', 'message.read')
      await append(b, 'message.sent')
    }
    const all = await t.store.events.list({ limit: 100 })
    expect(all.map(({ sessionId, sequence }) => [sessionId, sequence]).slice(0, 6)).toEqual([
      [a, 1],
      [a, 2],
      [b, 1],
      [a, 3],
      [a, 4],
      [b, 2],
    ])
    for (const [i, event] of all.entries()) {
      const afterCursor = event.cursor
      expect((await t.store.events.list({ afterCursor, limit: 100 })).map(({ id }) => id)).toEqual(
        all.slice(i + 1).map(({ id }) => id),
      )
      expect((await t.store.events.list({ sessionId: a, afterCursor, limit: 2 })).map(({ id }) => id)).toEqual(
        all
          .slice(i + 1)
          .filter(({ sessionId }) => sessionId === a)
          .slice(0, 2)
          .map(({ id }) => id),
      )
    }
    const types: EventType[] = ['message.read', 'session.status']
    const read = all.filter(({ type }) => type === 'message.read')
    expect(await t.store.events.list({ types, limit: 3 })).toEqual(read.slice(0, 3))
    expect(await t.store.events.list({ types, sessionId: a, limit: 10, afterSequence: 2 })).toEqual(read.slice(1))
    expect(await t.store.events.list({ types, afterCursor: read[0]?.cursor ?? '', limit: 10 })).toEqual(read.slice(1))
    expect(await t.store.events.list({ sessionId: b, afterSequence: 3, limit: 10 })).toHaveLength(1)
    await expect(t.store.events.list({ afterCursor: '; DROP', limit: 1 })).rejects.toMatchObject({ code: 'invalid_request' })
  })

  test('a reader that goes on by cursor while many write misses nothing', async () => {
    const ids = [await createHeldSession(t.store), await createHeldSession(t.store)]
    const stores = [t.store, await t.another(), await t.another()]
    let writing = true
    const written: Promise<unknown>[] = []
    const reader = (async () => {
      const seen: string[] = []
      let afterCursor: string | undefined
      for (let last = false; ;) {
        const page = await t.store.events.list({ limit: 7, ...(afterCursor ? { afterCursor } : {}) })
        seen.push(...page.map(({ id }) => id))
        afterCursor = page.at(-1)?.cursor ?? afterCursor
        if (page.length === 0 && last) return seen
        last = page.length === 0 && !writing
      }
    })()
    for (let round = 0; round < 15; round++) {
      const writes = stores.flatMap((store) => ids.map((id) => store.events.append(id, [{ type: 'session.status', data: {} }])))
      written.push(...writes)
      await Promise.race(writes)
    }
    await Promise.all(written)
    writing = false
    const seen = await reader
    expect(seen).toHaveLength(90)
    expect(new Set(seen).size).toBe(90)
  })

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

  test('an endpoint is disabled once, and its session is told', async () => {
    const id = await createHeldSession(t.store)
    const endpoint = newEndpoint({ sessionId: id })
    const fleet = newEndpoint()
    for (const each of [endpoint, fleet]) await t.store.endpoints.create(each)
    const disabled = await t.store.endpoints.disable(endpoint.id, 'gone', 5, tells('webhook.disabled'))
    expect(disabled).toMatchObject({
      record: { enabled: false, disabledReason: 'gone', updatedAt: 5 },
      published: [{ event: { type: 'webhook.disabled', sessionId: id }, deliveries: [{ endpointId: fleet.id }] }],
    })
    expect(await t.store.endpoints.disable(endpoint.id, 'gone', 6, tells('webhook.disabled'))).toBeNull()
    expect(await t.store.endpoints.disable(fleet.id, 'gone', 6, tells('webhook.disabled'))).toMatchObject({ published: [] })
    expect(await t.store.endpoints.disable('whk_none', 'gone', 6, tells('webhook.disabled'))).toBeNull()
  })

  test('attempts are kept and counted, the last twenty shown; what has succeeded or is dead stays so', async () => {
    const endpoint = newEndpoint()
    await t.store.endpoints.create(endpoint)
    const { id } = await deliver(endpoint.id, 'ses_1')
    for (let i = 1; i <= 25; i++)
      await t.store.deliveries.recordAttempt(id, attempt(i), { status: 'failed', nextAttemptAt: 50 + i })
    const failed = await t.store.deliveries.get(id)
    expect(failed).toMatchObject({ status: 'failed', attemptCount: 25, nextAttemptAt: 75 })
    expect(failed?.attempts.map(({ at }) => at)).toEqual(Array.from({ length: 20 }, (_, i) => i + 6))
    const done = await t.store.deliveries.recordAttempt(id, attempt(30, 200), { status: 'succeeded', nextAttemptAt: null })
    expect(done).toMatchObject({ status: 'succeeded', nextAttemptAt: null, deadReason: null })
    expect(await t.store.deliveries.recordAttempt(id, attempt(31), { status: 'failed', nextAttemptAt: 99 })).toMatchObject({
      status: 'succeeded',
      nextAttemptAt: null,
      attemptCount: 27,
    })
    const dead = await deliver(endpoint.id, 'ses_1')
    const end = { status: 'dead' as const, nextAttemptAt: null, deadReason: 'retries_exhausted' }
    expect(await t.store.deliveries.recordAttempt(dead.id, attempt(1), end)).toMatchObject({ deadReason: 'retries_exhausted' })
    await t.store.deliveries.recordAttempt(dead.id, attempt(2), { status: 'failed', nextAttemptAt: 9 })
    expect(await t.store.deliveries.get(dead.id)).toMatchObject({ status: 'dead', deadReason: 'retries_exhausted' })
    expect(await t.store.deliveries.recordAttempt('dlv_none', attempt(1), end)).toBeNull()
    expect(await t.store.deliveries.countByStatus(endpoint.id)).toEqual({ pending: 0, succeeded: 1, failed: 0, dead: 1 })
    expect(await t.store.deliveries.countByStatus()).toEqual({ pending: 0, succeeded: 1, failed: 0, dead: 1 })
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
    await t.store.deliveries.recordAttempt(done.id, attempt(1, 200), { status: 'succeeded', nextAttemptAt: null })
    await t.store.deliveries.recordAttempt(b.id, attempt(1), { status: 'failed', nextAttemptAt: 500 })
    const due = async (now: number, limit = 10) => (await t.store.deliveries.listDue(now, limit)).map(({ id }) => id)
    expect(await due(499)).toEqual([])
    expect(await due(1_000)).toEqual([b.id, a.id, c.id])
    expect(await due(1_000, 1)).toEqual([b.id])
    await t.store.deliveries.postpone([a.id, done.id, 'dlv_none'], 2_000)
    expect(await due(1_999)).toEqual([b.id, c.id])
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
