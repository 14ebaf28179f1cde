// Messages whose time has come, as the store lists them and changes them together.
import { expect, test } from 'vitest'
import { lanes, type MessageRecord } from '../../src/store/message-store.ts'
import type { Store } from '../../src/store/store.ts'
import { expireDue, promoteDue } from '../support/due.ts'
import { newEndpoint, newMessage, tells, tellsNothing } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'
import { describeStores } from '../support/store-kinds.ts'

describeStores('due messages', (t) => {
  const accept = async (message: MessageRecord) => {
    const input = { message, idempotency: null, maxQueueDepth: 99, now: message.createdAt }
    const outcome = await t.store.messages.accept(input, tells('message.queued'))
    if (outcome.outcome !== 'accepted') throw new Error(outcome.outcome)
    return outcome.message
  }

  test('due scheduled messages become queued in order of their time, with sequences of that moment', async () => {
    const id = await createHeldSession(t.store)
    const times = [300, 100, 200, 900]
    const messages: MessageRecord[] = []
    for (const sendAt of times) messages.push(await accept(newMessage(id, { status: 'scheduled', sendAt })))
    expect(messages.map(({ sequence }) => sequence)).toEqual([null, null, null, null])
    const now = await accept(newMessage(id))
    expect(now.sequence).toBe(1)
    const first = await promoteDue(t.store.messages, 500, 2, tells('message.queued'))
    const second = await promoteDue(t.store.messages, 500, 2, tells('message.queued'))
    const promoted = [...first, ...second].map(({ record }) => record)
    expect(promoted.map(({ sendAt, sequence, status }) => [sendAt, sequence, status])).toEqual([
      [100, 2, 'queued'],
      [200, 3, 'queued'],
      [300, 4, 'queued'],
    ])
    expect(promoted[0]?.reachedAt).toMatchObject({ queued: 500 })
    expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 4, scheduled: 1 })
    expect(await promoteDue(t.store.messages, 500, 2, tellsNothing)).toEqual([])
  })

  test('many due at once are queued together: numbered in the order given, counted and told, without those that ended meanwhile', async () => {
    const id = await createHeldSession(t.store)
    await t.store.endpoints.create(newEndpoint({ sessionId: id, events: ['message.queued'] }))
    const messages: MessageRecord[] = []
    for (let i = 0; i < 30; i++) {
      const priority = lanes[i % 3] ?? 'normal'
      messages.push(await accept(newMessage(id, { status: 'scheduled', sendAt: 1_000 - i, priority })))
    }
    const [gone, worthless] = [messages[4], await accept(newMessage(id, { status: 'scheduled', sendAt: 1, expiresAt: 1_500 }))]
    const listed = (await t.store.messages.listDue(2_000, 99)).map((place) => place.id)
    const inOrder = messages.map((message) => message.id).toReversed()
    expect(listed).toEqual(inOrder)
    expect(await t.store.messages.listExpired(2_000, 99)).toEqual([{ id: worthless.id, sessionId: id }])
    await t.store.messages.cancel(id, gone?.id ?? '', 1, tellsNothing)
    const outcomes = await t.store.messages.promote(id, [...listed, 'msg_none'], 2_000, tells('message.queued'))
    const left = inOrder.filter((each) => each !== gone?.id)
    expect(outcomes.map(({ record }) => [record.id, record.sequence])).toEqual(left.map((each, i) => [each, i + 1]))
    for (const { record, published } of outcomes) {
      expect(published).toMatchObject([{ event: { type: 'message.queued', data: { message: { id: record.id } } } }])
      expect(published[0]?.deliveries).toHaveLength(1)
    }
    const sequences = outcomes.map(({ published }) => published[0]?.event.sequence ?? NaN)
    expect(sequences).toEqual(sequences.map((_, i) => (sequences[0] ?? NaN) + i))
    expect(await t.store.messages.get(id, left[0] ?? '')).toEqual(outcomes[0]?.record)
    expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 29, scheduled: 1 })
    const next = newMessage(id, { priority: 'high' })
    const accepted = await t.store.messages.accept({ message: next, idempotency: null, maxQueueDepth: 99, now: 1 }, tellsNothing)
    expect(accepted).toMatchObject({ position: 10 })
    expect(await t.store.messages.promote(id, listed, 2_000, tells('message.queued'))).toEqual([])
    expect(await t.store.messages.promote('ses_other', left, 2_000, tells('message.queued'))).toEqual([])
  })

  test('two who queue what is due at the same moment keep its order, and queue nothing twice', async () => {
    const id = await createHeldSession(t.store)
    const dueAt = 1_000
    for (let i = 0; i < 40; i++) await accept(newMessage(id, { status: 'scheduled', sendAt: dueAt + i }))
    const run = async ({ messages }: Store) => {
      const listed = await messages.listDue(9_000, 99)
      const queued: MessageRecord[] = []
      for (let i = 0; i < listed.length; i += 5) {
        const ids = listed.slice(i, i + 5).map((place) => place.id)
        queued.push(...(await messages.promote(id, ids, 9_000, tellsNothing)).map(({ record }) => record))
      }
      return queued
    }
    const both = (await Promise.all([run(t.store), run(await t.another())])).flat()
    const inOrder = both.toSorted((a, b) => (a.sequence ?? 0) - (b.sequence ?? 0))
    expect(inOrder.map(({ sendAt }) => sendAt)).toEqual(Array.from({ length: 40 }, (_, i) => dueAt + i))
    expect(new Set(both.map(({ sequence }) => sequence)).size).toBe(40)
  })

  test('queued and scheduled messages expire at their time; one that is being sent does not', async () => {
    const id = await createHeldSession(t.store)
    const sending = await accept(newMessage(id, { expiresAt: 100 }))
    await t.store.messages.take({ sessionId: id, id: sending.id, epoch: 1, now: 1 }, tellsNothing)
    const queued = await accept(newMessage(id, { expiresAt: 100 }))
    const scheduled = await accept(newMessage(id, { expiresAt: 90, status: 'scheduled', sendAt: 95 }))
    await accept(newMessage(id, { expiresAt: 101 }))
    await accept(newMessage(id))
    expect(await expireDue(t.store.messages, 89, 10, tells('message.expired'))).toEqual([])
    const expired = await expireDue(t.store.messages, 100, 10, tells('message.expired'))
    expect(expired.map(({ record }) => [record.id, record.status])).toEqual([
      [scheduled.id, 'expired'],
      [queued.id, 'expired'],
    ])
    expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 3, scheduled: 0 })
  })
})
