// What the health score asks of the store about a session's messages.
import { expect, test } from 'vitest'
import { inboundEventTypes } from '../../src/store/event-store.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'
import { newMessage, tells, tellsNothing } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'
import { describeStores } from '../support/store-kinds.ts'

describeStores('health', (t) => {
  const accept = async (sessionId: string, changes: Partial<MessageRecord> = {}) => {
    const message = newMessage(sessionId, changes)
    const input = { message, idempotency: null, maxQueueDepth: 100, now: message.createdAt }
    expect(await t.store.messages.accept(input, tells('message.queued'))).toMatchObject({ outcome: 'accepted' })
    return message
  }
  const take = (sessionId: string, id: string, now: number) =>
    t.store.messages.take({ sessionId, id, epoch: 1, now }, tells('message.sending'))

  test('what waits: since when, what of it may leave, what is on its way; sessions that are gone are left out', async () => {
    const [id, idle] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    const first = await accept(id, { createdAt: 1_000, recipient: '254700000001@s.whatsapp.net' })
    const second = await accept(id, { createdAt: 2_000, recipient: '254700000002@s.whatsapp.net' })
    await accept(id, { createdAt: 1_500, priority: 'bulk', recipient: '254700000003@s.whatsapp.net' })
    const work = async (now: number) => (await t.store.health.work([id, idle, 'ses_none'], now)).get(id)
    const before = await work(5_000)
    expect(before).toMatchObject({ depth: 3, oldestQueuedAt: 1_000, readySince: 1_000, sendingSince: null })
    await t.store.messages.hold({ sessionId: id, id: first.id, epoch: 1, heldBy: 'recipient', heldUntil: 9_000 })
    expect(await work(5_000)).toMatchObject({ depth: 3, oldestQueuedAt: 1_000, readySince: 1_500 })
    expect(await work(9_000)).toMatchObject({ readySince: 1_000 })
    await take(id, second.id, 6_000)
    const after = await work(7_000)
    expect(after).toMatchObject({ depth: 3, sendingSince: 6_000 })
    expect(after?.revision).toBeGreaterThan(before?.revision ?? 0)
    const all = await t.store.health.work([id, idle, 'ses_none'], 7_000)
    expect([...all.keys()].toSorted()).toEqual([id, idle].toSorted())
    expect(all.get(idle)).toEqual({ revision: 0, depth: 0, oldestQueuedAt: null, readySince: null, sendingSince: null })
  })

  test('all together: levels, the sickest, what waits and since when', async () => {
    const [id, other] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    const health = (score: number, level: string) => ({ score, level, reason: null, at: 1 })
    await t.store.sessions.setHealth(id, health(40, 'critical'), tellsNothing)
    await t.store.sessions.setHealth(other, health(100, 'healthy'), tellsNothing)
    await accept(id, { createdAt: 1_000, recipient: '254700000001@s.whatsapp.net' })
    const taken = await accept(other, { createdAt: 2_000, recipient: '254700000002@s.whatsapp.net' })
    await take(other, taken.id, 3_000)
    const overview = await t.store.health.overview(5_000, 5)
    expect(overview).toEqual({
      levels: { critical: 1, healthy: 1 },
      sickest: [{ sessionId: id, score: 40 }],
      unfinished: { scheduled: 0, queued: 1, sending: 1 },
      oldestReadyAt: null,
    })
    await t.store.sessions.update(id, 1, { status: 'connected' }, tellsNothing)
    expect((await t.store.health.overview(5_000, 5)).oldestReadyAt).toBeGreaterThan(0)
  })

  test('levels and the sickest leave out what is off because somebody asked for it, until somebody asks for it again', async () => {
    const endings = { requested: 'requested', removed: 'device_removed', paused: 'requested' } as const
    const ids = { requested: '', removed: '', paused: '' }
    for (const name of ['requested', 'removed', 'paused'] as const) {
      const id = (ids[name] = await createHeldSession(t.store))
      const status = name === 'paused' ? 'disconnected' : 'logged_out'
      await t.store.sessions.settle(id, 1, 1, { status, statusReason: endings[name] }, tellsNothing)
      await t.store.sessions.setHealth(id, { score: 0, level: 'critical', reason: null, at: 1 }, tellsNothing)
    }
    const seen = async () => {
      const { levels, sickest } = await t.store.health.overview(5_000, 5)
      return { levels, sickest: sickest.map(({ sessionId }) => sessionId).toSorted() }
    }
    expect(await seen()).toEqual({ levels: { critical: 1 }, sickest: [ids.removed] })
    await t.store.sessions.request(ids.paused, 'connect', 2)
    expect(await seen()).toEqual({ levels: { critical: 2 }, sickest: [ids.removed, ids.paused].toSorted() })
  })

  test('what was acknowledged between two revisions, last sent first, whenever it was accepted; and whether it arrived', async () => {
    const [id, other] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    const revision = async () => (await t.store.health.work([id], 0)).get(id)?.revision ?? NaN
    const send = async (message: MessageRecord, at: number) => {
      await take(id, message.id, at)
      await t.store.messages.advance(id, message.id, { to: 'sent', at: at + 50 }, tells('message.sent'))
    }
    // The bulk one is accepted first and leaves last.
    const bulk = await accept(id, { createdAt: 1_000, priority: 'bulk', recipient: '254700000001@s.whatsapp.net' })
    const [read, plain, failed] = [
      await accept(id, { createdAt: 2_000 }),
      await accept(id, { createdAt: 3_000 }),
      await accept(id, { createdAt: 4_000 }),
    ]
    await accept(other)
    await send(read, 10_000)
    await send(plain, 20_000)
    await take(id, failed.id, 25_000)
    await t.store.messages.advance(id, failed.id, { to: 'failed', at: 25_090 }, tells('message.failed'))
    const middle = await revision()
    await t.store.messages.advance(id, read.id, { to: 'read', at: 26_000 }, tells('message.read'))
    await send(bulk, 30_000)
    const end = await revision()
    const { health } = t.store
    expect(await health.sent(id, 0, end, 10)).toEqual([bulk.id, plain.id, read.id])
    expect(await health.sent(id, 0, end, 2)).toEqual([bulk.id, plain.id])
    expect(await health.sent(id, 0, middle, 10)).toEqual([plain.id, read.id])
    expect(await health.sent(id, middle, end, 10)).toEqual([bulk.id])
    expect(await health.sent(other, 0, end, 10)).toEqual([])
    const one = ({ id: messageId, recipient }: MessageRecord, at: number, isDelivered: boolean) => ({
      id: messageId,
      recipient,
      sendingAt: at,
      sentAt: at + 50,
      isDelivered,
    })
    expect(await health.acked(id, [bulk.id, failed.id, read.id, 'msg_none', plain.id])).toEqual([
      one(bulk, 30_000, false),
      one(read, 10_000, true),
      one(plain, 20_000, false),
    ])
    expect(await health.acked(other, [bulk.id])).toEqual([])
  })

  test('what was sent and received between two revisions of its work', async () => {
    const [id, other] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    const revision = async () => (await t.store.health.work([id], 0)).get(id)?.revision ?? NaN
    const send = async (sessionId: string) => {
      const { id: messageId } = await accept(sessionId)
      await take(sessionId, messageId, 1)
      await t.store.messages.advance(sessionId, messageId, { to: 'sent', at: 2 }, tells('message.sent'))
    }
    const start = await revision()
    await send(id)
    await send(id)
    await send(other)
    const middle = await revision()
    await send(id)
    for (const type of inboundEventTypes) await t.store.events.append(id, [{ type, data: {} }])
    const end = await revision()
    expect(await t.store.health.traffic(id, start, end)).toEqual({ sentCount: 3, receivedCount: 4 })
    expect(await t.store.health.traffic(id, start, middle)).toEqual({ sentCount: 2, receivedCount: 0 })
    expect(await t.store.health.traffic(id, middle, end)).toEqual({ sentCount: 1, receivedCount: 4 })
    expect(await t.store.health.traffic(id, end, end)).toEqual({ sentCount: 0, receivedCount: 0 })
  })
})
