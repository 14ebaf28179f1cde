// The order of sending: who may be taken when, holding back, and races for the same message.
import { expect, test } from 'vitest'
import type { Lane, MessageRecord } from '../../src/store/message-store.ts'
import { newMessage, tells, tellsNothing } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'
import { describeStores } from '../support/store-kinds.ts'

describeStores('order', (t) => {
  const accept = async (sessionId: string, changes: Partial<MessageRecord> = {}, store = t.store) => {
    const message = newMessage(sessionId, changes)
    const answer = await store.messages.accept(
      { message, idempotency: null, maxQueueDepth: 1_000, now: 1 },
      tells('message.queued'),
    )
    if (answer.outcome !== 'accepted') throw new Error(`not accepted: ${answer.outcome}`)
    return answer.message
  }
  const take = (message: MessageRecord, now = 1, epoch = 1, store = t.store) =>
    store.messages.take({ sessionId: message.sessionId, id: message.id, epoch, now }, tells('message.sending'))
  const outcomeOf = async (message: MessageRecord, now = 1) => (await take(message, now)).outcome
  const finish = (message: MessageRecord) =>
    t.store.messages.advance(message.sessionId, message.id, { to: 'sent', at: 1 }, tellsNothing)
  const hold = (message: MessageRecord, heldUntil: number, epoch = 1) =>
    t.store.messages.hold({ sessionId: message.sessionId, id: message.id, epoch, heldBy: 'recipient', heldUntil })

  test('only the oldest of a lane can be taken; the next one when that has gone', async () => {
    const id = await createHeldSession(t.store)
    const [a, b] = [await accept(id), await accept(id)]
    expect(await take(b)).toEqual({ outcome: 'older_first' })
    expect(await take(a)).toMatchObject({
      outcome: 'taken',
      resend: false,
      message: { status: 'sending', attemptCount: 1, reachedAt: { sending: 1 } },
      published: [{ event: { type: 'message.sending' } }],
    })
    expect(await outcomeOf(b)).toBe('older_first')
    await finish(a)
    expect(await outcomeOf(b)).toBe('taken')
    expect(await take(a)).toEqual({ outcome: 'ended', status: 'sent' })
    expect(await t.store.messages.take({ sessionId: id, id: 'msg_none', epoch: 1, now: 1 }, tellsNothing)).toEqual({
      outcome: 'ended',
      status: null,
    })
  })

  test('a second socket takes the same message again and counts', async () => {
    const id = await createHeldSession(t.store)
    const message = await accept(id, { expiresAt: 50 })
    await take(message, 5)
    expect(await take(message, 60)).toMatchObject({
      outcome: 'taken',
      resend: true,
      message: { attemptCount: 2, reachedAt: { sending: 5 } },
    })
  })

  test('lanes and sessions do not wait for each other', async () => {
    const id = await createHeldSession(t.store)
    await accept(id)
    const [high, bulk] = [await accept(id, { priority: 'high' }), await accept(id, { priority: 'bulk' })]
    const other = await accept(await createHeldSession(t.store))
    for (const message of [high, bulk, other]) expect(await outcomeOf(message)).toBe('taken')
  })

  test('what is held back steps aside for others but not for later ones of its recipient, and comes back first', async () => {
    const id = await createHeldSession(t.store)
    const held = await accept(id, { recipient: 'a@lid' })
    const other = await accept(id, { recipient: 'b@lid' })
    const same = await accept(id, { recipient: 'a@lid' })
    const last = await accept(id, { recipient: 'c@lid' })
    expect(await hold(held, 100)).toBe(true)
    expect(await t.store.messages.get(id, held.id)).toMatchObject({ heldBy: 'recipient', heldUntil: 100, status: 'queued' })
    expect(await outcomeOf(other, 50)).toBe('taken')
    await finish(other)
    expect(await outcomeOf(same, 50)).toBe('older_first')
    expect(await outcomeOf(last, 50)).toBe('older_first')
    await hold(same, 200)
    expect(await outcomeOf(last, 100)).toBe('older_first')
    expect(await outcomeOf(last, 99)).toBe('taken')
    await finish(last)
    expect(await take(held, 100)).toMatchObject({ outcome: 'taken', message: { heldBy: null, heldUntil: null } })
    await finish(held)
    expect(await outcomeOf(same, 150)).toBe('taken')
  })

  test('only queued messages are held, and only by the holder', async () => {
    const id = await createHeldSession(t.store)
    const message = await accept(id)
    await expect(hold(message, 9, 2)).rejects.toMatchObject({ code: 'stale_epoch' })
    await take(message)
    expect(await hold(message, 9)).toBe(false)
    expect(await hold({ ...message, id: 'msg_none' }, 9)).toBe(false)
  })

  test('a stale holder takes nothing and changes nothing', async () => {
    const id = await createHeldSession(t.store)
    const message = await accept(id)
    await t.store.sessions.raiseEpoch(id, 2)
    await expect(take(message)).rejects.toMatchObject({ code: 'stale_epoch' })
    await expect(take({ ...message, sessionId: 'ses_none' })).rejects.toMatchObject({ code: 'stale_epoch' })
    expect(await t.store.messages.get(id, message.id)).toEqual(message)
    expect(await take(message, 1, 2)).toMatchObject({ outcome: 'taken' })
  })

  test('an expired message ends when it is taken, wherever it stands, and frees the way', async () => {
    const id = await createHeldSession(t.store)
    const [first, second] = [await accept(id, { expiresAt: 100 }), await accept(id)]
    expect(await take(first, 100)).toMatchObject({
      outcome: 'expired',
      message: { status: 'expired', reachedAt: { expired: 100 } },
      published: [{ event: {} }],
    })
    expect(await outcomeOf(second, 100)).toBe('taken')
  })

  test('of many that take one message at once exactly one is first, and a cancel wins or loses clearly', async () => {
    const id = await createHeldSession(t.store)
    const other = await t.another()
    for (let round = 0; round < 10; round++) {
      const message = await accept(id)
      const [one, two, canceled] = await Promise.all([
        take(message),
        take(message, 1, 1, other),
        other.messages.cancel(id, message.id, 2, tells('message.canceled')),
      ])
      const end = await t.store.messages.get(id, message.id)
      const taken = [one, two].filter(({ outcome }) => outcome === 'taken')
      expect(taken.filter((each) => each.outcome === 'taken' && !each.resend).length).toBe(canceled === 'too_late' ? 1 : 0)
      expect(end?.status).toBe(canceled === 'too_late' ? 'sending' : 'canceled')
      expect(taken.length === 0 || canceled === 'too_late').toBe(true)
      await finish(message)
    }
  })

  test('accepts from several connections at once get different sequences, and one key makes one message', async () => {
    const id = await createHeldSession(t.store)
    const stores = [t.store, await t.another(), await t.another()]
    const many = await Promise.all(Array.from({ length: 30 }, (_, i) => accept(id, {}, stores[i % 3])))
    expect(new Set(many.map(({ sequence }) => sequence)).size).toBe(30)
    const same = await Promise.all(
      stores.map((store) =>
        store.messages.accept(
          {
            message: newMessage(id),
            idempotency: { key: 'k', bodyHash: 'b', expiresAt: 9e12 },
            maxQueueDepth: 1_000,
            now: 1,
          },
          tellsNothing,
        ),
      ),
    )
    expect(same.map(({ outcome }) => outcome).toSorted()).toEqual(['accepted', 'replayed', 'replayed'])
    expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 31 })
    const events = await t.store.events.list({ sessionId: id, limit: 100 })
    expect(events.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1))
  })

  test('a sequence given earlier is taken earlier, whatever was accepted at the same moment', async () => {
    const id = await createHeldSession(t.store)
    const many = await Promise.all(Array.from({ length: 10 }, () => accept(id)))
    const bySequence = many.toSorted((a, b) => (a.sequence ?? 0) - (b.sequence ?? 0))
    for (const message of bySequence) {
      expect(await outcomeOf(message)).toBe('taken')
      await finish(message)
    }
  })

  test('the unfinished are listed by sequence, with their lane and hold; positions count who leaves before', async () => {
    const id = await createHeldSession(t.store)
    const priorities: Lane[] = ['normal', 'bulk', 'high', 'normal', 'high']
    const messages: MessageRecord[] = []
    for (const priority of priorities) messages.push(await accept(id, { priority, createdAt: 100 + messages.length }))
    const [normal, bulk, high, normal2, high2] = messages as [
      MessageRecord,
      MessageRecord,
      MessageRecord,
      MessageRecord,
      MessageRecord,
    ]
    await take(high)
    await hold(normal, 500)
    const all = await t.store.messages.listUnfinished(id, { limit: 10 })
    expect(all.map((each) => each.sequence)).toEqual([1, 2, 3, 4, 5])
    expect(all[0]).toEqual({
      id: normal.id,
      sequence: 1,
      priority: 'normal',
      status: 'queued',
      recipient: normal.recipient,
      heldUntil: 500,
    })
    expect((await t.store.messages.listUnfinished(id, { limit: 2 })).map((each) => each.sequence)).toEqual([1, 2])
    expect((await t.store.messages.listUnfinished(id, { priority: 'high', limit: 10 })).map((each) => each.id)).toEqual([
      high.id,
      high2.id,
    ])
    const positions = await Promise.all(messages.map((message) => t.store.messages.position(id, message.id)))
    expect(positions).toEqual([2, 4, null, 3, 1])
    expect(await t.store.messages.position(id, 'msg_none')).toBeNull()
    await finish(high)
    expect(await t.store.messages.position(id, bulk.id)).toBe(3)
    expect(await t.store.messages.position(id, normal2.id)).toBe(2)
    expect(await t.store.messages.queueState(id)).toEqual({ depth: 4, scheduled: 0, oldestQueuedAt: 100 })
  })

  test('sessions with messages that nobody has touched for long are found, page by page', async () => {
    const stale = [
      await createHeldSession(t.store),
      await createHeldSession(t.store),
      await createHeldSession(t.store),
    ].toSorted()
    for (const id of stale) {
      await accept(id, { createdAt: 2_000, updatedAt: 2_000 })
      await accept(id, { createdAt: 1_000, updatedAt: 1_000 })
    }
    const fresh = await createHeldSession(t.store)
    await accept(fresh, { createdAt: 5_000, updatedAt: 5_000 })
    const done = await createHeldSession(t.store)
    await finish(await accept(done, { createdAt: 1_000, updatedAt: 1_000 }))
    expect(await t.store.messages.listSessionsWithStale(1_500, 2)).toEqual(stale.slice(0, 2))
    expect(await t.store.messages.listSessionsWithStale(1_500, 2, stale[1])).toEqual(stale.slice(2))
    expect(await t.store.messages.listSessionsWithStale(1_000, 10)).toEqual([])
  })

  test('the sessions with the most queued and sending messages come first', async () => {
    const [one, none, three, two] = [
      await createHeldSession(t.store),
      await createHeldSession(t.store),
      await createHeldSession(t.store),
      await createHeldSession(t.store),
    ]
    for (const id of [one, two, none, two, three, three, three]) {
      const message = await accept(id, { createdAt: 1_000, updatedAt: 1_000 })
      if (id === none) await finish(message)
    }
    expect(await t.store.messages.listDeepestQueues(10)).toEqual([three, two, one])
    expect(await t.store.messages.listDeepestQueues(2)).toEqual([three, two])
  })

  test('sessions whose stale messages are all held back are left alone until a hold is over', async () => {
    const id = await createHeldSession(t.store)
    await hold(await accept(id, { createdAt: 1_000, updatedAt: 1_000 }), 50_000_000_000_000)
    const later = Date.now() + 60_000
    expect(await t.store.messages.listSessionsWithStale(later, 10)).toEqual([])
    expect(await t.store.messages.listSessionsWithStale(60_000_000_000_000, 10)).toEqual([id])
  })
})
