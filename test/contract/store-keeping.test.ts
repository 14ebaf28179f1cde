// Credentials under their fence, health samples, and what retention removes.
import { expect, test } from 'vitest'
import type { HealthSample } from '../../src/store/health-store.ts'
import type { RetentionPolicy } from '../../src/store/store.ts'
import { newEndpoint, newMessage, tells, tellsNothing } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'
import { describeStores } from '../support/store-kinds.ts'

const dataKey = { masterKeyId: 'old', wrapped: Uint8Array.of(1, 2, 3) }
const keep: RetentionPolicy = { messagesMs: 1_000, deliveriesMs: 1_000, eventsMs: 1_000, healthSamplesMs: 1_000 }

describeStores('keeping', (t) => {
  const entry = (type: string, id: string, value: number[] | null) => ({ type, id, value: value && Uint8Array.from(value) })
  const sample = (sessionId: string, at: number): HealthSample => ({
    sessionId,
    at,
    score: 94,
    level: 'healthy',
    reasons: [{ code: 'reconnects', points: 6, text: 'Reconnected twice.' }],
    signals: { state: 'connected', reconnectCount: 2, ackLatencyMsP95: null },
    actions: [{ action: 'reconnect', reason: 'deaf' }],
  })

  test('entries are written together, replaced, deleted; missing ones are absent', async () => {
    const id = await createHeldSession(t.store)
    const prekeys = Array.from({ length: 800 }, (_, i) => entry('pre-key', String(i), [i % 256]))
    await t.store.credentials.write(id, 1, [...prekeys, entry('creds', '', [0, 255])], dataKey)
    await t.store.credentials.write(id, 1, [entry('pre-key', '1', null), entry('pre-key', '2', [9])], dataKey)
    const read = await t.store.credentials.read(id, 'pre-key', ['0', '1', '2', '799', '800'])
    expect([...read].map(([key, value]) => [key, [...value]])).toEqual([
      ['0', [0]],
      ['2', [9]],
      ['799', [31]],
    ])
    expect([...((await t.store.credentials.read(id, 'creds', [''])).get('') ?? [])]).toEqual([0, 255])
    expect((await t.store.credentials.read(id, 'session', ['0'])).size).toBe(0)
    expect(await t.store.credentials.readDataKey(id)).toEqual(dataKey)
  })

  test('a stale epoch is refused whole, also for what the new holder has not touched', async () => {
    const id = await createHeldSession(t.store)
    await t.store.credentials.write(id, 1, [entry('session', 'a', [1])], dataKey)
    await t.store.sessions.raiseEpoch(id, 2)
    const stale = { code: 'stale_epoch' }
    const write = t.store.credentials.write(id, 1, [entry('session', 'a', [2]), entry('session', 'new', [2])], dataKey)
    await expect(write).rejects.toMatchObject(stale)
    await expect(t.store.credentials.erase(id, 1)).rejects.toMatchObject(stale)
    await expect(t.store.credentials.write('ses_none', 1, [], dataKey)).rejects.toMatchObject(stale)
    const read = await t.store.credentials.read(id, 'session', ['a', 'new'])
    expect([...read].map(([key, value]) => [key, [...value]])).toEqual([['a', [1]]])
  })

  test('a claim and the old holder’s writes at the same moment: none of the old ones lands after the claim', async () => {
    const id = await createHeldSession(t.store)
    await t.store.credentials.write(id, 1, [entry('session', 'n', [0])], dataKey)
    const other = await t.another()
    for (let epoch = 2; epoch < 8; epoch++) {
      const old = Promise.allSettled(
        Array.from({ length: 5 }, (_, i) =>
          t.store.credentials.write(id, epoch - 1, [entry('session', 'n', [epoch, i])], dataKey),
        ),
      )
      await other.sessions.raiseEpoch(id, epoch)
      const atClaim = [...((await other.credentials.read(id, 'session', ['n'])).get('n') ?? [])]
      await old
      expect([...((await other.credentials.read(id, 'session', ['n'])).get('n') ?? [])]).toEqual(atClaim)
    }
  })

  test('the data key is stored with the first write; another one is a conflict; erasing takes both', async () => {
    const id = await createHeldSession(t.store)
    const otherKey = { masterKeyId: 'old', wrapped: Uint8Array.of(4) }
    await t.store.credentials.write(id, 1, [entry('creds', '', [1])], dataKey)
    await t.store.credentials.write(id, 1, [entry('creds', '', [2])], dataKey)
    const conflict = t.store.credentials.write(id, 1, [entry('creds', '', [3])], otherKey)
    await expect(conflict).rejects.toMatchObject({ code: 'conflict' })
    expect([...((await t.store.credentials.read(id, 'creds', [''])).get('') ?? [])]).toEqual([2])
    await t.store.credentials.erase(id, 1)
    expect(await t.store.credentials.readDataKey(id)).toBeNull()
    expect((await t.store.credentials.read(id, 'creds', [''])).size).toBe(0)
    await t.store.credentials.write(id, 1, [entry('creds', '', [3])], otherKey)
    expect(await t.store.credentials.readDataKey(id)).toEqual(otherKey)
  })

  test('data keys under other master keys are found page by page and rewrapped by compare-and-set', async () => {
    const ids = [await createHeldSession(t.store), await createHeldSession(t.store), await createHeldSession(t.store)].toSorted()
    for (const id of ids) await t.store.credentials.write(id, 1, [], dataKey)
    const first = await t.store.credentials.listWrappedByOthers('new', 2)
    expect(first).toEqual(ids.slice(0, 2).map((sessionId) => ({ sessionId, dataKey })))
    expect(await t.store.credentials.listWrappedByOthers('new', 2, ids[1])).toEqual([{ sessionId: ids[2], dataKey }])
    const next = { masterKeyId: 'new', wrapped: Uint8Array.of(8) }
    const [id = ''] = ids
    expect(await t.store.credentials.rewrap(id, 'old', next)).toBe(true)
    expect(await t.store.credentials.rewrap(id, 'old', next)).toBe(false)
    expect(await t.store.credentials.readDataKey(id)).toEqual(next)
    expect(await t.store.credentials.listWrappedByOthers('new', 9)).toHaveLength(2)
    expect(await t.store.credentials.listWrappedByOthers('old', 9)).toEqual([{ sessionId: id, dataKey: next }])
  })

  test('health samples come back as written, the newest ones, oldest first', async () => {
    const [id, other] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    const samples = [10, 20, 30].map((at) => sample(id, at))
    await t.store.health.append([...samples, sample(other, 99)])
    await t.store.health.append([])
    expect(await t.store.health.latest(id)).toEqual(samples[2])
    expect(await t.store.health.latest('ses_none')).toBeNull()
    expect(await t.store.health.list(id, 20, 10)).toEqual(samples.slice(1))
    expect(await t.store.health.list(id, 0, 2)).toEqual(samples.slice(1))
    await t.store.health.append([sample('ses_none', 1)])
    expect(await t.store.health.latest('ses_none')).toBeNull()
  })

  test('samples are put together in place, those of another session left alone', async () => {
    const [id, other] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    await t.store.health.append([10, 20, 30, 40].flatMap((at) => [sample(id, at), sample(other, at)]))
    const worst = { ...sample(id, 20), score: 12, level: 'critical', actions: [] }
    await t.store.health.merge(id, [{ into: worst, from: [10, 20, 30] }])
    await t.store.health.merge(id, [])
    expect(await t.store.health.list(id, 0, 10)).toEqual([worst, sample(id, 40)])
    expect(await t.store.health.list(other, 0, 10)).toHaveLength(4)
  })

  test('retention removes what is old in bounded steps, and never what still has to be sent', async () => {
    const id = await createHeldSession(t.store)
    const now = Date.now()
    const later = now + 100_000
    const accept = async (changes: Parameters<typeof newMessage>[1], key: string) => {
      const message = newMessage(id, { createdAt: now, updatedAt: now, ...changes })
      const idempotency = { key, bodyHash: 'b', expiresAt: now + 10 }
      await t.store.messages.accept({ message, idempotency, maxQueueDepth: 100, now }, tells('message.queued'))
      return message
    }
    const queued = await accept({}, 'a')
    const scheduled = await accept({ status: 'scheduled', sendAt: now + 1e9 }, 'b')
    const done = []
    for (let i = 0; i < 6; i++) done.push(await accept({}, `c${i}`))
    for (const message of done) await t.store.messages.cancel(id, message.id, now, tellsNothing)
    const changedLater = await accept({}, 'd')
    await t.store.messages.advance(id, changedLater.id, { to: 'sent', at: later - 10 }, tellsNothing)
    const endpoint = newEndpoint({ sessionId: id })
    await t.store.endpoints.create(endpoint)
    const delivery = {
      eventId: 'e',
      endpointId: endpoint.id,
      sessionId: id,
      eventType: 'message.sent' as const,
      nextAttemptAt: 1,
    }
    const [old] = await t.store.deliveries.create([delivery])
    await t.store.health.append([sample(id, now), sample(id, later)])

    expect(await t.store.sweep(keep, now, 100)).toEqual({ removed: 0 })
    const steps: number[] = []
    do steps.push((await t.store.sweep(keep, later, 4)).removed)
    while (steps.at(-1) !== 0)
    expect(Math.max(...steps)).toBeLessThanOrEqual(4)
    const left = (await t.store.messages.list({ sessionId: id, limit: 100 })).data.map((message) => message.id)
    expect(left.toSorted()).toEqual([queued.id, scheduled.id, changedLater.id].toSorted())
    expect(await t.store.events.list({ limit: 100 })).toEqual([])
    expect(await t.store.deliveries.get(old?.id ?? '')).toBeNull()
    expect(await t.store.deliveries.countByStatus()).toEqual({ pending: 0, succeeded: 0, failed: 0, dead: 0 })
    expect(await t.store.health.list(id, 0, 10)).toEqual([sample(id, later)])
    expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 1, scheduled: 1 })
    const [event] = await t.store.events.append(id, [{ type: 'session.status', data: {} }])
    expect(event?.event.sequence).toBe(10)
  })

  test('a closed store refuses, and closing twice is harmless', async () => {
    const other = await t.another()
    await other.ping()
    await other.close()
    await other.close()
    await expect(other.ping()).rejects.toMatchObject({ code: 'store_unavailable' })
    await expect(other.sessions.raiseEpoch('ses_1', 1)).rejects.toMatchObject({ code: 'store_unavailable' })
  })
})
