// The event log for readers that come back, and replays over it: nothing is missed unnoticed, no step is taken twice.
import { expect, test, vi } from 'vitest'
import { newId } from '../../src/platform/id.ts'
import type { EventType, NewDelivery } from '../../src/store/event-store.ts'
import type { ReplayRecord } from '../../src/store/replay-store.ts'
import { newEndpoint } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'
import { describeStores } from '../support/store-kinds.ts'

const everything = { messagesMs: 1e12, deliveriesMs: 1e12, eventsMs: 0, healthSamplesMs: 1e12 }

describeStores('event log', (t) => {
  const append = (sessionId: string, ...types: EventType[]) =>
    t.store.events.append(
      sessionId,
      types.map((type) => ({ type, data: { n: type } })),
    )
  const many = (sessionId: string, count: number) =>
    append(sessionId, ...Array.from({ length: count }, () => 'message.sent' as const))
  const sweepEvents = async () => {
    while ((await t.store.sweep(everything, Date.now() + 1_000, 3)).removed > 0);
  }
  const sequences = (page: { events: { sequence: number }[] }) => page.events.map(({ sequence }) => sequence)

  test('is read page by page and gives a place to come back to, also when it is empty or nothing matches', async () => {
    const [a, b] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    expect(await t.store.events.read({ limit: 5 })).toMatchObject({ events: [], hasMore: false, oldestPlace: null })
    const empty = await t.store.events.read({ sessionId: a, limit: 5 })
    expect(empty).toEqual({ events: [], next: '0', hasMore: false, oldestPlace: null })
    await append(a, 'message.sent', 'message.read', 'message.sent')
    await append(b, 'message.sent')
    await append(a, 'session.status')

    const first = await t.store.events.read({ sessionId: a, after: empty.next, limit: 3 })
    expect([sequences(first), first.next, first.hasMore]).toEqual([[1, 2, 3], '3', true])
    const second = await t.store.events.read({ sessionId: a, after: first.next, limit: 3 })
    expect([sequences(second), second.next, second.hasMore]).toEqual([[4], '4', false])
    expect(await t.store.events.read({ sessionId: a, after: '4', limit: 3 })).toMatchObject({ events: [], next: '4' })
    const typed = await t.store.events.read({ sessionId: a, after: '0', types: ['message.read'], limit: 3 })
    expect([sequences(typed), typed.next]).toEqual([[2], '4'])

    const fleet = await t.store.events.read({ limit: 4 })
    expect(fleet.hasMore).toBe(true)
    const rest = await t.store.events.read({ after: fleet.next, limit: 4 })
    expect([...fleet.events, ...rest.events].map(({ sessionId, sequence }) => [sessionId, sequence])).toEqual([
      [a, 1],
      [a, 2],
      [a, 3],
      [b, 1],
      [a, 4],
    ])
    const none = await t.store.events.read({ after: fleet.events[0]?.cursor ?? '', types: ['webhook.disabled'], limit: 4 })
    expect(none).toMatchObject({ events: [], next: rest.next, oldestPlace: null })
    expect(await t.store.events.newestPlace()).toBe(rest.next)
    expect(await t.store.events.newestPlace(a)).toBe('4')
    for (const query of [{}, { sessionId: a }]) {
      await expect(t.store.events.read({ ...query, after: 'x;', limit: 1 })).rejects.toMatchObject({ code: 'invalid_request' })
    }
  })

  test('tells a reader that has fallen behind, and only that one', async () => {
    const [a, b] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    await many(a, 4)
    await many(b, 1)
    const [early] = (await t.store.events.read({ limit: 1 })).events
    const end = await t.store.events.newestPlace()
    await sweepEvents()
    expect(await t.store.events.read({ limit: 9 })).toMatchObject({ events: [], oldestPlace: null })
    for (const [place, sessionId, oldest] of [
      [early?.cursor ?? '', undefined, end],
      ['0', a, '4'],
      ['3', a, '4'],
    ] as const) {
      const page = await t.store.events.read({ after: place, limit: 9, ...(sessionId ? { sessionId } : {}) })
      expect(page).toMatchObject({ events: [], oldestPlace: oldest })
    }
    expect(await t.store.events.read({ after: end, limit: 9 })).toMatchObject({ oldestPlace: null, next: end })
    expect(await t.store.events.read({ after: '4', sessionId: a, limit: 9 })).toMatchObject({ oldestPlace: null })
    expect(await t.store.events.newestPlace()).toBe(end)

    await many(a, 2)
    const behind = await t.store.events.read({ sessionId: a, after: '2', limit: 9 })
    expect([sequences(behind), behind.oldestPlace]).toEqual([[5, 6], '4'])
    expect(sequences(await t.store.events.read({ sessionId: a, after: '4', limit: 9 }))).toEqual([5, 6])
    expect(await t.store.events.read({ after: end, limit: 9 })).toMatchObject({ oldestPlace: null, events: [{}, {}] })
    expect(sequences(await t.store.events.read({ sessionId: a, limit: 9 }))).toEqual([5, 6])
  })

  test('refuses a place that no event has had yet, and knows those of deleted sessions', async () => {
    const [a, b] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    await many(b, 1)
    await many(a, 3)
    const end = await t.store.events.newestPlace()
    const ahead = (place: string) => String(Number(place) + 1)
    const refused = { code: 'invalid_request', errors: [{ path: 'after' }] }
    await expect(t.store.events.read({ after: ahead(end), limit: 1 })).rejects.toMatchObject(refused)
    await expect(t.store.events.read({ sessionId: a, after: '4', limit: 1 })).rejects.toMatchObject(refused)
    await t.store.sessions.remove(a, 1)
    expect(await t.store.events.read({ after: end, limit: 1 })).toMatchObject({ events: [], next: end, oldestPlace: null })
    expect(await t.store.events.newestPlace()).toBe(end)
    await sweepEvents()
    await expect(t.store.events.read({ after: ahead(end), limit: 1 })).rejects.toMatchObject(refused)
    await expect(t.store.events.read({ sessionId: b, after: '2', limit: 1 })).rejects.toMatchObject(refused)
    expect(await t.store.events.read({ sessionId: b, after: '1', limit: 1 })).toMatchObject({ next: '1', oldestPlace: null })
  })

  test('what a deleted session told stays for readers of the whole log, and for fleet-wide endpoints, until it is swept', async () => {
    const [a, b] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    const [own, fleetWide] = [newEndpoint({ sessionId: a }), newEndpoint({ sessionId: null })]
    for (const endpoint of [own, fleetWide]) await t.store.endpoints.create(endpoint)
    const start = await t.store.events.newestPlace()
    await many(a, 3)
    await many(b, 2)
    await t.store.sessions.remove(a, 1)

    const page = await t.store.events.read({ after: start, limit: 9 })
    expect(page.oldestPlace).toBeNull()
    expect(page.events.map(({ sessionId }) => sessionId)).toEqual([a, a, a, b, b])
    const due = await t.store.deliveries.listDue(fleetWide.id, Date.now() + 60_000, 9)
    expect(due.map(({ sessionId }) => sessionId)).toEqual([a, a, a, b, b])
    for (const { eventId } of due) expect(await t.store.events.get(eventId)).toMatchObject({ id: eventId })
    expect(await t.store.deliveries.countByStatus(own.id)).toMatchObject({ pending: 0 })
    expect(await t.store.deliveries.countByStatus(fleetWide.id)).toMatchObject({ pending: 5 })

    expect(await append(a, 'message.sent')).toEqual([]) // it tells nothing more
    await sweepEvents()
    while ((await t.store.sweep({ ...everything, deliveriesMs: 0 }, Date.now() + 1_000, 3)).removed > 0);
    expect((await t.store.events.read({ limit: 9 })).events).toEqual([])
    expect(await t.store.deliveries.countByStatus(fleetWide.id)).toMatchObject({ pending: 0 })
    const behind = await t.store.events.read({ after: start, limit: 9 })
    expect(behind).toMatchObject({ events: [], oldestPlace: await t.store.events.newestPlace() })
  })

  test('a place before a time has all later events behind it', async () => {
    const [a, b] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    await many(a, 3)
    await new Promise((resolve) => setTimeout(resolve, 5))
    const between = Date.now()
    await new Promise((resolve) => setTimeout(resolve, 5))
    await many(b, 2)
    await many(a, 2)
    const after = async (at: number, sessionId?: string) => {
      const place = await t.store.events.placeBefore(at, sessionId)
      return (await t.store.events.read({ after: place, limit: 20, ...(sessionId ? { sessionId } : {}) })).events.length
    }
    expect(await Promise.all([after(0), after(between), after(Date.now() + 1_000)])).toEqual([7, 4, 0])
    expect(await Promise.all([after(0, a), after(between, a), after(Date.now() + 1_000, a)])).toEqual([5, 2, 0])
  })
})

describeStores('a place before a time, where clocks were wrong', (t) => {
  const minute = 60_000
  const now = Date.now()
  /** Events of the fleet in the order of the log, each session's at the time that its clock showed. */
  const write = async (stretches: [count: number, minutes: number][]) => {
    const sessions = new Map<number, string>()
    for (const [count, minutes] of stretches) {
      const sessionId = sessions.get(minutes) ?? (await createHeldSession(t.store))
      sessions.set(minutes, sessionId)
      vi.useFakeTimers({ toFake: ['Date'], now: now + minutes * minute })
      try {
        for (let left = count; left > 0; left -= 50) {
          const drafts = Array.from({ length: Math.min(50, left) }, () => ({ type: 'message.sent' as const, data: {} }))
          await t.store.events.append(sessionId, drafts)
        }
        await t.store.events.newestPlace() // where places are given later, now
      } finally {
        vi.useRealTimers()
      }
    }
  }
  const missedOf = async (at: number) => {
    const all = await t.store.events.read({ limit: 2_000 })
    const wanted = all.events.filter((event) => event.at >= at)
    const found = await t.store.events.read({ after: await t.store.events.placeBefore(at), limit: 2_000 })
    const ids = new Set(found.events.map(({ id }) => id))
    return { wanted: wanted.length, missed: wanted.filter(({ id }) => !ids.has(id)).length, read: found.events.length }
  }

  test('has what a clock that ran ahead has dated later behind it', async () => {
    await write([
      [50, -60],
      [5, 30],
      [100, -50],
      [100, -10],
    ])
    expect(await missedOf(now - 20 * minute)).toMatchObject({ wanted: 105, missed: 0 })
  })

  test('loses nothing to a stretch of a clock that was behind', async () => {
    await write([
      [50, -60],
      [100, -30],
      [300, -45],
      [50, -10],
    ])
    const { wanted, missed, read } = await missedOf(now - 40 * minute)
    expect({ wanted, missed }).toEqual({ wanted: 150, missed: 0 })
    expect(read).toBe(450)
  })

  test('loses nothing to a machine whose clock is behind all the time', async () => {
    await write([
      [60, -60],
      ...Array.from({ length: 20 }, (): [number, number][] => [
        [3, -30],
        [4, -90],
      ]).flat(),
    ])
    expect(await missedOf(now - 40 * minute)).toEqual({ wanted: 60, missed: 0, read: 140 })
  })
})

describeStores('replays', (t) => {
  const newReplay = (endpointId: string, changes: Partial<ReplayRecord> = {}): ReplayRecord => ({
    id: newId('rpl'),
    endpointId,
    sessionId: null,
    since: 1,
    until: 2,
    types: ['message.sent'],
    status: 'running',
    place: null,
    deliveryCount: 0,
    createdAt: 1,
    updatedAt: 1,
    ...changes,
  })
  const of = (endpointId: string): NewDelivery => ({
    eventId: 'evt_x',
    endpointId,
    sessionId: 'ses_x',
    eventType: 'message.sent',
    nextAttemptAt: 5,
  })

  test('one of an endpoint runs at a time', async () => {
    const replay = newReplay('whk_1')
    expect(await t.store.replays.create(replay)).toBe(true)
    const rivals = [newReplay('whk_1'), newReplay('whk_1')]
    expect(await Promise.all(rivals.map((rival) => t.store.replays.create(rival)))).toEqual([false, false])
    const other = newReplay('whk_2')
    expect(await t.store.replays.create(other)).toBe(true)
    expect(await t.store.replays.listRunning({ limit: 9 })).toEqual([replay, other])
    expect(await t.store.replays.listRunning({ limit: 1 })).toEqual([replay])
    expect(await t.store.replays.listRunning({ after: replay.id, limit: 9 })).toEqual([other])
    expect(await t.store.replays.listRunning({ after: other.id, limit: 9 })).toEqual([])
    expect(await t.store.replays.stop('whk_2', replay.id, 9)).toBeNull()
    expect(await t.store.replays.stop('whk_1', replay.id, 9)).toMatchObject({ status: 'stopped', updatedAt: 9 })
    expect(await t.store.replays.stop('whk_1', replay.id, 10)).toMatchObject({ status: 'stopped', updatedAt: 9 })
    const next = newReplay('whk_1')
    expect(await t.store.replays.create(next)).toBe(true)
    const page = await t.store.replays.list({ endpointId: 'whk_1', limit: 1 })
    expect(page.data).toEqual([next])
    const rest = await t.store.replays.list({ endpointId: 'whk_1', limit: 5, cursor: page.nextCursor ?? '' })
    expect(rest.data.map(({ id }) => id)).toEqual([replay.id])
  })

  test('a step makes its deliveries and moves on together, once, whoever takes it', async () => {
    const endpoint = newEndpoint()
    await t.store.endpoints.create(endpoint)
    const replay = newReplay(endpoint.id)
    await t.store.replays.create(replay)
    const stores = [t.store, await t.another(), t.store]
    const step = { place: '7', status: 'running' as const, at: 3 }
    const taken = await Promise.all(
      stores.map((store) => store.replays.advance(replay, step, [of(endpoint.id), of(endpoint.id)])),
    )
    expect(taken.filter(Boolean)).toHaveLength(1)
    const made = taken.find(Boolean) ?? []
    expect(made).toMatchObject([{ replayId: replay.id, status: 'pending', attemptCount: 0, nextAttemptAt: 5, createdAt: 3 }, {}])
    expect(await t.store.replays.countWaiting(replay.id)).toBe(2)
    expect((await t.store.deliveries.listDue(endpoint.id, 9, 9)).map(({ id }) => id).toSorted()).toEqual(
      made.map(({ id }) => id).toSorted(),
    )
    await t.store.deliveries.bury([made[0]?.id ?? ''], 'x', 4)
    expect(await t.store.replays.countWaiting(replay.id)).toBe(1)
    const [now] = await t.store.replays.listRunning({ limit: 9 })
    expect(now).toEqual({ ...replay, place: '7', deliveryCount: 2, updatedAt: 3 })
    expect(await t.store.replays.advance(now ?? replay, { place: '9', status: 'finished', at: 4 }, [])).toEqual([])
    expect(await t.store.replays.listRunning({ limit: 9 })).toEqual([])
    expect(await t.store.replays.advance({ ...replay, place: '9' }, step, [of(endpoint.id)])).toBeNull()
    expect(await t.store.replays.stop(endpoint.id, replay.id, 9)).toMatchObject({ status: 'finished', deliveryCount: 2 })
  })

  test('go with their endpoint, and when they are old', async () => {
    const endpoint = newEndpoint()
    await t.store.endpoints.create(endpoint)
    await t.store.replays.create(newReplay(endpoint.id))
    await t.store.endpoints.remove(endpoint.id)
    expect(await t.store.replays.listRunning({ limit: 9 })).toEqual([])
    const [old, running] = [newReplay('whk_1', { status: 'finished' }), newReplay('whk_1')]
    await t.store.replays.create(old)
    await t.store.replays.create(running)
    const policy = { ...everything, eventsMs: 1e12, deliveriesMs: 0 }
    while ((await t.store.sweep(policy, Date.now(), 5)).removed > 0);
    expect((await t.store.replays.list({ endpointId: 'whk_1', limit: 9 })).data).toEqual([running])
  })
})
