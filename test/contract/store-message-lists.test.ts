// Inbound messages and lists of messages.
import { expect, test } from 'vitest'
import type { MessageRecord, MessageStatus } from '../../src/store/message-store.ts'
import { promoteDue } from '../support/due.ts'
import { newInbound, newMessage, tells, tellsNothing } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'
import { describeStores } from '../support/store-kinds.ts'

describeStores('message lists', (t) => {
  const accept = async (message: MessageRecord) => {
    const answer = await t.store.messages.accept(
      { message, idempotency: null, maxQueueDepth: 100, now: message.createdAt },
      tellsNothing,
    )
    if (answer.outcome !== 'accepted') throw new Error(`not accepted: ${answer.outcome}`)
    return answer.message
  }

  test('an inbound message is stored once per chat, writer and WhatsApp id', async () => {
    const id = await createHeldSession(t.store)
    const store = (changes: Partial<MessageRecord>, session = id) =>
      t.store.messages.storeInbound(newInbound(session, 'W1', changes), tells('message.received'))
    expect(await store({})).toMatchObject({ record: { status: 'received' }, published: [{ event: { sequence: 1 } }] })
    expect(await store({})).toBeNull()
    expect(await store({ recipient: 'g@g.us', participant: 'a@lid' })).not.toBeNull()
    expect(await store({ recipient: 'g@g.us', participant: 'b@lid' })).not.toBeNull()
    expect(await store({ recipient: 'g@g.us', participant: 'b@lid' })).toBeNull()
    expect(await store({}, await createHeldSession(t.store))).not.toBeNull()
    expect(await store({}, 'ses_none')).toBeNull()
    expect(await t.store.events.list({ sessionId: id, limit: 10 })).toHaveLength(3)
  })

  test('a cursor holds the place in its own list, and no count of what others have', async () => {
    const id = await createHeldSession(t.store)
    for (const createdAt of [1_000, 1_001]) await accept(newMessage(id, { createdAt }))
    const { data, nextCursor } = await t.store.messages.list({ sessionId: id, limit: 1 })
    const place: unknown = JSON.parse(Buffer.from(nextCursor ?? '', 'base64url').toString())
    expect(place).toEqual([1_001, data[0]?.id])
  })

  test('lists are newest first, paged without gap or repeat, under every filter', async () => {
    const id = await createHeldSession(t.store)
    const all: MessageRecord[] = []
    for (let i = 0; i < 12; i++) {
      const createdAt = 1_000 + Math.floor(i / 3)
      const recipient = i % 4 === 0 ? 'a@lid' : 'b@lid'
      if (i % 2) all.push(await accept(newMessage(id, { createdAt, recipient })))
      else {
        const inbound = newInbound(id, `W${i}`, { createdAt, recipient })
        await t.store.messages.storeInbound(inbound, tellsNothing)
        all.push(inbound)
      }
    }
    await accept(newMessage(await createHeldSession(t.store), { createdAt: 1_001 }))
    await t.store.messages.cancel(id, all[11]?.id ?? '', 5_000, tellsNothing)
    const walk = async (query: Omit<Parameters<typeof t.store.messages.list>[0], 'limit'>) => {
      const found: string[] = []
      let cursor: string | null | undefined
      do {
        const page = await t.store.messages.list({ ...query, limit: 3, ...(cursor ? { cursor } : {}) })
        expect(page.data.length).toBeLessThanOrEqual(3)
        found.push(...page.data.map((message) => message.id))
        cursor = page.nextCursor
      } while (cursor)
      return found
    }
    const ids = (keep: (message: MessageRecord, i: number) => boolean) =>
      all
        .filter(keep)
        .map((message) => message.id)
        .toReversed()
    expect(await walk({ sessionId: id })).toEqual(ids(() => true))
    expect(await walk({ sessionId: id, direction: 'inbound' })).toEqual(ids((message) => message.direction === 'inbound'))
    expect(await walk({ sessionId: id, direction: 'outbound' })).toEqual(ids((message) => message.direction === 'outbound'))
    expect(await walk({ sessionId: id, recipient: 'a@lid' })).toEqual(ids((message) => message.recipient === 'a@lid'))
    expect(await walk({ sessionId: id, since: 1_002 })).toEqual(ids((message) => message.createdAt >= 1_002))
    expect(await walk({ sessionId: id, status: 'queued' })).toEqual(
      ids((message, i) => message.direction === 'outbound' && i !== 11),
    )
    const narrow = {
      sessionId: id,
      status: 'received' as MessageStatus,
      recipient: 'b@lid',
      since: 1_001,
      direction: 'inbound' as const,
    }
    const fits = (message: MessageRecord) =>
      message.direction === 'inbound' && message.recipient === 'b@lid' && message.createdAt >= 1_001
    expect(await walk(narrow)).toEqual(ids(fits))
    expect(await walk({})).toHaveLength(13)
    await expect(t.store.messages.list({ sessionId: id, limit: 1, cursor: 'x' })).rejects.toMatchObject({
      code: 'invalid_request',
    })
  })

  test('what is scheduled is listed the soonest first, until it is queued', async () => {
    const [id, other] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    const schedule = (sessionId: string, sendAt: number) => accept(newMessage(sessionId, { status: 'scheduled', sendAt }))
    const [third, first, second] = [await schedule(id, 30_000), await schedule(id, 10_000), await schedule(id, 20_000)]
    await schedule(other, 5_000)
    await accept(newMessage(id))
    const listed = async (limit: number) => (await t.store.messages.listScheduled(id, limit)).map((message) => message.id)
    expect(await listed(9)).toEqual([first.id, second.id, third.id])
    expect(await listed(2)).toEqual([first.id, second.id])
    await promoteDue(t.store.messages, 10_000, 9, tellsNothing)
    expect(await listed(9)).toEqual([second.id, third.id])
  })

  test('messages are found by their ids, those of another session excepted', async () => {
    const id = await createHeldSession(t.store)
    const [one, two] = [await accept(newMessage(id)), await accept(newMessage(id))]
    const other = await accept(newMessage(await createHeldSession(t.store)))
    const found = await t.store.messages.listById(id, [two.id, other.id, 'msg_none', one.id])
    expect(found.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual([one, two])
    expect(await t.store.messages.listById(id, [])).toEqual([])
  })
})
