// Events, endpoints and deliveries: written with the change, in order, once.
import { expect, test, vi } from 'vitest'
import { firstAttemptGraceMs, type EventType } from '../../src/store/event-store.ts'
import { newEndpoint, newMessage, tellsNothing } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'
import { describeStores } from '../support/store-kinds.ts'

describeStores('outbox', (t) => {
  const append = (sessionId: string, ...types: EventType[]) =>
    t.store.events.append(
      sessionId,
      types.map((type) => ({ type, data: { n: type } })),
    )
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

  test('after a clock that ran ahead deliveries do not wait for its time', async () => {
    const id = await createHeldSession(t.store)
    await t.store.endpoints.create(newEndpoint({ sessionId: id }))
    const before = Date.now()
    vi.useFakeTimers({ toFake: ['Date'], now: before + 3_600_000 })
    try {
      await append(id, 'message.sent')
    } finally {
      vi.useRealTimers()
    }
    const [published] = await append(id, 'message.sent')
    const delivery = await t.store.deliveries.get(published?.deliveries[0]?.id ?? '')
    expect((delivery?.nextAttemptAt ?? Infinity) - firstAttemptGraceMs).toBeLessThanOrEqual(Date.now())
    expect(delivery?.createdAt).toBeLessThanOrEqual(Date.now())
    expect(published?.event.sequence).toBe(2)
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
})
