// What pacing asks of the store: who is a stranger, what is held back, how many stand before a message.
import { expect, test } from 'vitest'
import type { MessageRecord, StatusChange } from '../../src/store/message-store.ts'
import { promoteDue } from '../support/due.ts'
import { newMessage, tellsNothing } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'
import { describeStores } from '../support/store-kinds.ts'

describeStores('pacing', (t) => {
  const accept = async (sessionId: string, changes: Partial<MessageRecord> = {}) => {
    const message = newMessage(sessionId, changes)
    const answer = await t.store.messages.accept({ message, idempotency: null, maxQueueDepth: 1_000, now: 1 }, tellsNothing)
    if (answer.outcome !== 'accepted') throw new Error(`not accepted: ${answer.outcome}`)
    return answer
  }
  const take = (message: MessageRecord, now: number) =>
    t.store.messages.take({ sessionId: message.sessionId, id: message.id, epoch: 1, now }, tellsNothing)
  const advance = (message: MessageRecord, change: StatusChange) =>
    t.store.messages.advance(message.sessionId, message.id, change, tellsNothing)
  const sendTo = async (sessionId: string, recipient: string, at: number) => {
    const { message } = await accept(sessionId, { recipient })
    await take(message, at)
    await advance(message, { to: 'sent', at: at + 5 })
  }
  const hearFrom = (sessionId: string, recipient: string, at: number, lid: string | null = null) => {
    const address = { input: recipient, phoneNumber: null, lid, groupId: null }
    const message = newMessage(sessionId, { direction: 'inbound', status: 'received', sequence: null, recipient, address })
    return t.store.messages.storeInbound({ ...message, reachedAt: { received: at } }, tellsNothing)
  }
  const contactOf = async (sessionId: string, recipient: string) => {
    const { message } = await accept(sessionId, { recipient })
    const facts = await t.store.messages.pacingFacts(sessionId, message.id)
    await t.store.messages.cancel(sessionId, message.id, 1, tellsNothing)
    return facts?.contact
  }
  const phone = (n: number) => `25470000000${n}@s.whatsapp.net`

  test('somebody is new until one of the two has written; the first time counts, and the last time of theirs', async () => {
    const id = await createHeldSession(t.store)
    expect(await contactOf(id, phone(1))).toBeNull()
    await sendTo(id, phone(2), 100)
    await sendTo(id, phone(2), 200)
    expect(await contactOf(id, phone(2))).toEqual({ firstOutboundAt: 100, firstInboundAt: null, lastInboundAt: null })
    await hearFrom(id, phone(2), 300)
    await hearFrom(id, phone(2), 400)
    expect(await contactOf(id, phone(2))).toEqual({ firstOutboundAt: 100, firstInboundAt: 300, lastInboundAt: 400 })
    const other = await createHeldSession(t.store)
    expect(await contactOf(other, phone(2))).toBeNull()
  })

  test('who writes is known under both addresses', async () => {
    const id = await createHeldSession(t.store)
    await hearFrom(id, phone(1), 300, '123456@lid')
    expect(await contactOf(id, '123456@lid')).toEqual({ firstOutboundAt: null, firstInboundAt: 300, lastInboundAt: 300 })
    expect(await contactOf(id, phone(1))).toEqual({ firstOutboundAt: null, firstInboundAt: 300, lastInboundAt: 300 })
  })

  test('what never reached WhatsApp makes no contact; what may have does; groups never are one', async () => {
    const id = await createHeldSession(t.store)
    const fail = async (recipient: string, code: string) => {
      const { message } = await accept(id, { recipient })
      await take(message, 100)
      await advance(message, { to: 'failed', at: 200, error: { code, detail: '' } })
    }
    await fail(phone(1), 'recipient_not_on_whatsapp')
    await fail(phone(2), 'outcome_unknown')
    await sendTo(id, '123456789@g.us', 100)
    expect(await contactOf(id, phone(1))).toBeNull()
    expect(await contactOf(id, phone(2))).toMatchObject({ firstOutboundAt: 100 })
    expect(await contactOf(id, '123456789@g.us')).toBeNull()
    expect(await t.store.messages.newContacts(id, 0, 0)).toEqual({ count: 1, firstAt: 100, held: [] })
  })

  test('contacts of another number are forgotten by who holds the session, and by nobody else', async () => {
    const id = await createHeldSession(t.store)
    const other = await createHeldSession(t.store)
    for (const sessionId of [id, other]) {
      await sendTo(sessionId, phone(1), 100)
      await hearFrom(sessionId, phone(2), 200, '123456@lid')
    }
    await expect(t.store.messages.forgetContacts(id, 2)).rejects.toMatchObject({ code: 'stale_epoch' })
    expect(await contactOf(id, phone(1))).toMatchObject({ firstOutboundAt: 100 })
    await t.store.messages.forgetContacts(id, 1)
    await t.store.messages.forgetContacts(id, 1)
    for (const recipient of [phone(1), phone(2), '123456@lid']) expect(await contactOf(id, recipient)).toBeNull()
    expect(await t.store.messages.newContacts(id, 0, 0)).toEqual({ count: 0, firstAt: null, held: [] })
    expect(await contactOf(other, phone(1))).toMatchObject({ firstOutboundAt: 100 })
  })

  test('new contacts are counted from a time on, without those who wrote first', async () => {
    const id = await createHeldSession(t.store)
    expect(await t.store.messages.newContacts(id, 0, 0)).toEqual({ count: 0, firstAt: null, held: [] })
    await sendTo(id, phone(1), 100)
    await sendTo(id, phone(2), 200)
    await hearFrom(id, phone(3), 250)
    await sendTo(id, phone(3), 300)
    await hearFrom(id, phone(2), 400)
    expect(await t.store.messages.newContacts(id, 0, 0)).toMatchObject({ count: 2, firstAt: 100 })
    expect(await t.store.messages.newContacts(id, 200, 0)).toMatchObject({ count: 1, firstAt: 100 })
  })

  test('held messages are found by the end of their hold, and by who stands behind them', async () => {
    const id = await createHeldSession(t.store)
    const messages: MessageRecord[] = []
    for (let n = 0; n < 4; n += 1) messages.push((await accept(id, { recipient: phone(n === 2 ? 2 : 1) })).message)
    const [a, b, c, d] = messages as [MessageRecord, MessageRecord, MessageRecord, MessageRecord]
    const hold = (message: MessageRecord, heldUntil: number, heldBy: 'recipient' | 'new_contacts') =>
      t.store.messages.hold({ sessionId: id, id: message.id, epoch: 1, heldBy, heldUntil })
    await hold(b, 500, 'recipient')
    await hold(a, 700, 'new_contacts')
    expect((await t.store.messages.listHeld(id, 0, 10)).map((each) => each.id)).toEqual([b.id, a.id])
    expect((await t.store.messages.listHeld(id, 0, 1)).map((each) => each.id)).toEqual([b.id])
    expect(await t.store.messages.listHeld(id, 500, 10)).toMatchObject([{ id: a.id, sequence: 1, heldUntil: 700 }])
    expect((await t.store.messages.newContacts(id, 0, 600)).held).toEqual([{ heldUntil: 700, count: 1 }])
    expect((await t.store.messages.newContacts(id, 0, 700)).held).toEqual([])
    const factsOf = (message: MessageRecord) => t.store.messages.pacingFacts(id, message.id)
    expect(await factsOf(a)).toMatchObject({ status: 'queued', priority: 'normal', heldUntil: 700, heldBefore: null })
    expect(await factsOf(b)).toMatchObject({ heldUntil: 500, heldBefore: { heldBy: 'new_contacts', heldUntil: 700 } })
    expect(await factsOf(c)).toMatchObject({ recipient: phone(2), heldUntil: null, heldBefore: null })
    expect(await factsOf(d)).toMatchObject({ heldBefore: { heldBy: 'recipient', heldUntil: 500 } })
    expect(await t.store.messages.pacingFacts(id, 'msg_none')).toBeNull()
    await t.store.messages.cancel(id, a.id, 800, tellsNothing)
    expect((await t.store.messages.listHeld(id, 0, 10)).map((each) => each.id)).toEqual([b.id])
    expect(await factsOf(b)).toMatchObject({ heldBefore: null })
  })

  test.each(['cancel', 'expire'] as const)('those held behind one that is gone by %s are due, others stay held', async (how) => {
    const id = await createHeldSession(t.store)
    const messages: MessageRecord[] = []
    for (const more of [{}, { expiresAt: 50 }, {}, { priority: 'high' as const }, { recipient: phone(2) }])
      messages.push((await accept(id, { recipient: phone(1), ...more })).message)
    for (const [n, message] of messages.entries())
      await t.store.messages.hold({ sessionId: id, id: message.id, epoch: 1, heldBy: 'recipient', heldUntil: 9e12 + n })
    const gone = messages[1]?.id ?? ''
    if (how === 'cancel') await t.store.messages.cancel(id, gone, 100, tellsNothing)
    else await t.store.messages.expire(id, [gone], 100, tellsNothing)
    const until = await Promise.all(messages.map(async (each) => (await t.store.messages.get(id, each.id))?.heldUntil))
    expect(until).toEqual([9e12, null, expect.toSatisfy((at: number) => at < 9e12), 9e12 + 3, 9e12 + 4])
  })

  test('an accepted message knows how many stand before it, lane by lane, as messages come and go', async () => {
    const id = await createHeldSession(t.store)
    const positions: (number | null)[] = []
    const messages: MessageRecord[] = []
    for (const priority of ['bulk', 'normal', 'high', 'bulk', 'normal', 'high'] as const) {
      const { position, message } = await accept(id, { priority })
      positions.push(position)
      messages.push(message)
    }
    expect(positions).toEqual([0, 0, 0, 3, 2, 1])
    for (const message of messages.slice(0, 3)) await t.store.messages.cancel(id, message.id, 5, tellsNothing)
    const after = await Promise.all((['high', 'normal', 'bulk'] as const).map((priority) => accept(id, { priority })))
    expect(after.map(({ position }) => position)).toEqual([1, 3, 5])
    const scheduled = await accept(id, { status: 'scheduled', sequence: null, sendAt: 10 })
    expect(scheduled.position).toBeNull()
    await promoteDue(t.store.messages, 10, 10, tellsNothing)
    expect((await accept(id, { priority: 'bulk' })).position).toBe(7)
  })

  test('the queue is listed lane after lane, with what is held back and who is a stranger', async () => {
    const id = await createHeldSession(t.store)
    await sendTo(id, phone(1), 100)
    const { message: bulk } = await accept(id, { priority: 'bulk', recipient: phone(1) })
    const { message: normal } = await accept(id, { recipient: phone(2) })
    const { message: group } = await accept(id, { recipient: '123456789@g.us' })
    const { message: high } = await accept(id, { priority: 'high', recipient: phone(2) })
    await t.store.messages.hold({ sessionId: id, id: normal.id, epoch: 1, heldBy: 'recipient', heldUntil: 900 })
    const queue = await t.store.messages.listQueue(id, 10)
    expect(queue.map((each) => [each.id, each.isNewContact, each.heldBy, each.heldUntil])).toEqual([
      [high.id, true, null, null],
      [normal.id, true, 'recipient', 900],
      [group.id, false, null, null],
      [bulk.id, false, null, null],
    ])
    expect((await t.store.messages.listQueue(id, 2)).map((each) => each.id)).toEqual([high.id, normal.id])
  })

  test('who writes is not waited for any longer: holds for being a stranger end, others stay', async () => {
    const id = await createHeldSession(t.store)
    const reasons = ['new_contacts', 'restriction', 'recipient', 'new_contacts'] as const
    const messages: MessageRecord[] = []
    for (const [n, heldBy] of reasons.entries()) {
      const { message } = await accept(id, { recipient: [phone(1), '123456@lid', phone(1), phone(2)][n] ?? '' })
      messages.push(message)
      await t.store.messages.hold({ sessionId: id, id: message.id, epoch: 1, heldBy, heldUntil: 50_000_000_000_000 })
    }
    await hearFrom(id, phone(1), 300, '123456@lid')
    const held = await t.store.messages.listHeld(id, Date.now() + 60_000, 10)
    expect(new Set(held.map((each) => each.id))).toEqual(new Set([messages[2]?.id, messages[3]?.id]))
  })

  test('all holds of a session can be ended by its holder', async () => {
    const id = await createHeldSession(t.store)
    const { message: first } = await accept(id, { recipient: phone(1) })
    const { message: second } = await accept(id, { recipient: phone(2) })
    for (const message of [first, second]) {
      await t.store.messages.hold({ sessionId: id, id: message.id, epoch: 1, heldBy: 'new_contacts', heldUntil: 9_000 })
    }
    await expect(t.store.messages.releaseHeld({ sessionId: id, epoch: 0, at: 500 })).rejects.toMatchObject({
      code: 'stale_epoch',
    })
    expect(await t.store.messages.releaseHeld({ sessionId: id, epoch: 1, at: 500 })).toBe(2)
    expect(await t.store.messages.releaseHeld({ sessionId: id, epoch: 1, at: 500 })).toBe(0)
    expect(await t.store.messages.listHeld(id, 500, 10)).toEqual([])
    expect((await take(first, 500)).outcome).toBe('taken')
  })
})
