// Who a session has written to and heard from, under a number and a LID, and what that does to what waits for them.
import { expect, test } from 'vitest'
import type { MessageRecord, StatusChange } from '../../src/store/message-store.ts'
import { newMessage, tellsNothing } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'
import { describeStores } from '../support/store-kinds.ts'

describeStores('contacts', (t) => {
  const accept = async (sessionId: string, changes: Partial<MessageRecord> = {}): Promise<MessageRecord> => {
    const message = newMessage(sessionId, changes)
    const answer = await t.store.messages.accept({ message, idempotency: null, maxQueueDepth: 1_000, now: 1 }, tellsNothing)
    if (answer.outcome !== 'accepted') throw new Error(`not accepted: ${answer.outcome}`)
    return answer.message
  }
  const take = (message: MessageRecord, now: number) =>
    t.store.messages.take({ sessionId: message.sessionId, id: message.id, epoch: 1, now }, tellsNothing)
  const advance = (message: MessageRecord, change: StatusChange) =>
    t.store.messages.advance(message.sessionId, message.id, change, tellsNothing)
  const hold = (message: MessageRecord, heldBy: 'recipient' | 'new_contacts', heldUntil: number) =>
    t.store.messages.hold({ sessionId: message.sessionId, id: message.id, epoch: 1, heldBy, heldUntil })
  const hearFrom = (sessionId: string, recipient: string, at: number, known: string | null = null) => {
    const address = { input: recipient, phoneNumber: null, lid: known, groupId: null }
    const message = newMessage(sessionId, { direction: 'inbound', status: 'received', sequence: null, recipient, address })
    return t.store.messages.storeInbound({ ...message, reachedAt: { received: at } }, tellsNothing)
  }
  const contactOf = async (sessionId: string, recipient: string) => {
    const message = await accept(sessionId, { recipient })
    const facts = await t.store.messages.pacingFacts(sessionId, message.id)
    await t.store.messages.cancel(sessionId, message.id, 1, tellsNothing)
    return facts?.contact
  }
  const phone = (n: number) => `25470000000${n}@s.whatsapp.net`
  const lid = '123456789@lid'

  test('number and LID are one person from the ack that tells so: one recipient, one line, one contact', async () => {
    const id = await createHeldSession(t.store)
    const get = async (message: MessageRecord) => (await t.store.messages.get(id, message.id)) ?? message
    await hearFrom(id, lid, 50)
    const first = await accept(id, { recipient: phone(1) })
    const earlier = await accept(id, { recipient: lid })
    const scheduled = await accept(id, { recipient: lid, status: 'scheduled', sequence: null, sendAt: 10 })
    expect((await get(earlier)).recipient).toBe(lid)
    await take(first, 100)
    await advance(first, { to: 'sent', at: 105, address: { lid } })
    const later = await accept(id, { recipient: lid })
    for (const message of [await get(earlier), await get(scheduled), later, await get(later)]) {
      expect(message).toMatchObject({ recipient: phone(1), address: { phoneNumber: '254700000001' } })
    }
    const contact = { firstOutboundAt: 100, firstInboundAt: 50, lastInboundAt: 50 }
    expect(await t.store.messages.pacingFacts(id, later.id)).toMatchObject({ recipient: phone(1), contact })
    expect(await t.store.messages.newContacts(id, 0, 0)).toMatchObject({ count: 0, firstAt: 100 })
    // One line: the later one is refused while the earlier one, held or not, has not left.
    await hold(earlier, 'recipient', 900)
    expect((await take(later, 200)).outcome).toBe('older_first')
    await hearFrom(id, lid, 300)
    expect(await contactOf(id, phone(1))).toEqual({ ...contact, lastInboundAt: 300 })
    const listed = await t.store.messages.list({ sessionId: id, recipient: lid, limit: 10 })
    expect(listed.data).toHaveLength(7)
    const some = await t.store.messages.list({ sessionId: id, recipient: lid, direction: 'inbound', limit: 10 })
    expect(some.data).toHaveLength(2)
  })

  test('what is accepted for a LID at the moment when its number is learned stands under the number', async () => {
    const id = await createHeldSession(t.store)
    const first = await accept(id, { recipient: phone(1) })
    await take(first, 100)
    const learned = advance(first, { to: 'sent', at: 105, address: { lid } })
    const accepted = await Promise.all(Array.from({ length: 8 }, () => accept(id, { recipient: lid })))
    await learned
    const stored = await Promise.all(accepted.map((message) => t.store.messages.get(id, message.id)))
    expect(stored.map((message) => message?.recipient)).toEqual(accepted.map(() => phone(1)))
  })

  test('a LID that another number has now is known by that one', async () => {
    const id = await createHeldSession(t.store)
    await hearFrom(id, phone(1), 100, lid)
    await hearFrom(id, phone(2), 200, lid)
    expect((await accept(id, { recipient: lid })).recipient).toBe(phone(2))
    expect(await contactOf(id, phone(1))).toMatchObject({ firstInboundAt: 100 })
    expect(await contactOf(id, phone(2))).toMatchObject({ firstInboundAt: 200 })
  })

  test('what waits for a day with room is due once they have been written to', async () => {
    const id = await createHeldSession(t.store)
    const waiting = await accept(id, { recipient: phone(1) })
    await hold(waiting, 'new_contacts', 9e12)
    const other = await accept(id, { recipient: phone(2) })
    await hold(other, 'new_contacts', 9e12)
    const urgent = await accept(id, { recipient: phone(1), priority: 'high' })
    await take(urgent, 100)
    await advance(urgent, { to: 'sent', at: 105 })
    const heldUntil = async ({ id: messageId }: MessageRecord) => (await t.store.messages.get(id, messageId))?.heldUntil ?? 0
    expect(await heldUntil(waiting)).toBeLessThanOrEqual(Date.now())
    expect(await heldUntil(other)).toBe(9e12)
  })

  test.each([
    ['number', 'LID', phone(1), lid],
    ['LID', 'number', lid, phone(1)],
  ])(
    'what waits because the %s is a stranger is due once it is known who was written to under the %s',
    async (_, _other, to, known) => {
      const id = await createHeldSession(t.store)
      const first = await accept(id, { recipient: known })
      await take(first, 100)
      await advance(first, { to: 'sent', at: 105 })
      const waiting = await accept(id, { recipient: to })
      await hold(waiting, 'new_contacts', 9e12)
      const urgent = await accept(id, { recipient: phone(1), priority: 'high' })
      await take(urgent, 200)
      await advance(urgent, { to: 'sent', at: 205, address: { lid } })
      const after = await t.store.messages.get(id, waiting.id)
      expect(after?.recipient).toBe(phone(1))
      expect(after?.heldUntil).toBeLessThanOrEqual(Date.now())
    },
  )

  test('the queue says of each who is a stranger, and who has never written', async () => {
    const id = await createHeldSession(t.store)
    const first = await accept(id, { recipient: phone(1) })
    await take(first, 100)
    await advance(first, { to: 'sent', at: 105 })
    await hearFrom(id, phone(2), 200)
    for (const recipient of [phone(1), phone(2), phone(3), '123456789@g.us']) await accept(id, { recipient })
    const queue = await t.store.messages.listQueue(id, 10)
    expect(queue.map(({ isNewContact, isUnheard }) => ({ isNewContact, isUnheard }))).toEqual([
      { isNewContact: false, isUnheard: true },
      { isNewContact: false, isUnheard: false },
      { isNewContact: true, isUnheard: true },
      { isNewContact: false, isUnheard: false },
    ])
  })
})
