// Messages: accepting, statuses, receipts, times, lists.
import { expect, test } from 'vitest'
import type { MessageRecord } from '../../src/store/message-store.ts'
import { promoteDue } from '../support/due.ts'
import { newInbound, newMessage, newSession, tells, tellsNothing } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'
import { describeStores } from '../support/store-kinds.ts'

describeStores('messages', (t) => {
  const accept = async (message: MessageRecord, maxQueueDepth = 100) => {
    const answer = await t.store.messages.accept(
      { message, idempotency: null, maxQueueDepth, now: message.createdAt },
      tells('message.queued'),
    )
    if (answer.outcome !== 'accepted') throw new Error(`not accepted: ${answer.outcome}`)
    return answer.message
  }
  const keyed = (sessionId: string, key: string, bodyHash: string, now: number, maxQueueDepth = 100) =>
    t.store.messages.accept(
      { message: newMessage(sessionId), idempotency: { key, bodyHash, expiresAt: now + 100 }, maxQueueDepth, now },
      tells('message.queued'),
    )

  test('an accepted message is stored as given, with the next sequence and its event', async () => {
    const id = await createHeldSession(t.store)
    const message = newMessage(id, { mentions: ['254'], clientReference: 'order 7', content: { text: { body: 'ñ 漢 🎉' } } })
    const answer = await t.store.messages.accept(
      { message, idempotency: null, maxQueueDepth: 1, now: message.createdAt },
      tells('message.queued'),
    )
    expect(answer).toMatchObject({ outcome: 'accepted', published: [{ event: { type: 'message.queued', sequence: 1 } }] })
    const stored = { ...message, sequence: 1 }
    expect(await t.store.messages.get(id, message.id)).toEqual(stored)
    expect(await t.store.messages.findByWhatsappId(id, message.whatsappId)).toEqual(stored)
    expect(await t.store.messages.get('ses_other', message.id)).toBeNull()
    expect(await t.store.messages.findByWhatsappId('ses_other', message.whatsappId)).toBeNull()
  })

  test('one key and body is one message; another body is refused; an expired key counts as absent', async () => {
    const id = await createHeldSession(t.store)
    const first = await keyed(id, 'k', 'body', 1_000)
    if (first.outcome !== 'accepted') throw new Error(first.outcome)
    expect(await keyed(id, 'k', 'body', 1_099)).toEqual({ outcome: 'replayed', message: first.message })
    expect(await keyed(id, 'k', 'other', 1_099)).toEqual({ outcome: 'key_reused' })
    expect(await keyed(await createHeldSession(t.store), 'k', 'other', 1_099)).toMatchObject({ outcome: 'accepted' })
    const later = await keyed(id, 'k', 'other', 1_100)
    expect(later.outcome).toBe('accepted')
    expect(await keyed(id, 'k', 'other', 1_101)).toMatchObject({ outcome: 'replayed' })
    expect(await keyed(id, 'k', 'body', 1_101)).toEqual({ outcome: 'key_reused' })
  })

  test('a replay is answered also when the queue is full, and a full queue stores nothing', async () => {
    const id = await createHeldSession(t.store)
    await keyed(id, 'a', 'x', 1, 2)
    await keyed(id, 'b', 'x', 1, 2)
    expect(await keyed(id, 'c', 'x', 1, 2)).toEqual({ outcome: 'queue_full', depth: 2 })
    expect(await keyed(id, 'a', 'x', 1, 2)).toMatchObject({ outcome: 'replayed' })
    expect((await t.store.messages.list({ sessionId: id, limit: 10 })).data).toHaveLength(2)
    expect(await t.store.events.list({ sessionId: id, limit: 10 })).toHaveLength(2)
    expect(await keyed(id, 'c', 'y', 1, 3)).toMatchObject({ outcome: 'accepted', message: { sequence: 3 } })
  })

  test('nothing is accepted for a session that is unknown or deleted', async () => {
    expect(await keyed('ses_none', 'k', 'x', 1)).toEqual({ outcome: 'no_session' })
    const { session, key } = newSession()
    await t.store.sessions.create({ session, key, endpoint: null }, tellsNothing)
    await t.store.sessions.request(session.id, 'delete', 1)
    expect(await keyed(session.id, 'k', 'x', 1)).toEqual({ outcome: 'no_session' })
  })

  test('when describing fails nothing of the accept stands, the key and the sequence neither', async () => {
    const id = await createHeldSession(t.store)
    const message = newMessage(id)
    const idempotency = { key: 'k', bodyHash: 'x', expiresAt: 9e12 }
    const fails = t.store.messages.accept({ message, idempotency, maxQueueDepth: 9, now: 1 }, () => {
      throw new Error('cannot describe')
    })
    await expect(fails).rejects.toThrow('cannot describe')
    expect(await t.store.messages.get(id, message.id)).toBeNull()
    expect(await t.store.messages.queueState(id)).toEqual({ depth: 0, scheduled: 0, oldestQueuedAt: null })
    expect(await keyed(id, 'k', 'y', 1)).toMatchObject({ outcome: 'accepted', message: { sequence: 1 } })
  })

  test('statuses move forward with their events, never back, and learn addresses on the way', async () => {
    const id = await createHeldSession(t.store)
    const { id: messageId } = await accept(newMessage(id, { createdAt: 10 }))
    await t.store.messages.take({ sessionId: id, id: messageId, epoch: 1, now: 20 }, tells('message.sending'))
    const sent = await t.store.messages.advance(
      id,
      messageId,
      { to: 'sent', at: 30, address: { lid: '77@lid' } },
      tells('message.sent'),
    )
    expect(sent?.record).toMatchObject({ status: 'sent', address: { lid: '77@lid', phoneNumber: '254712345678' } })
    expect(await t.store.messages.advance(id, messageId, { to: 'sending', at: 31 }, tells('message.sending'))).toBeNull()
    expect(await t.store.messages.advance(id, messageId, { to: 'failed', at: 31 }, tells('message.failed'))).toBeNull()
    await t.store.messages.advance(id, messageId, { to: 'read', at: 40 }, tells('message.read'))
    expect(await t.store.messages.advance(id, messageId, { to: 'delivered', at: 41 }, tells('message.delivered'))).toBeNull()
    expect(await t.store.messages.advance('ses_other', messageId, { to: 'played', at: 41 }, tellsNothing)).toBeNull()
    expect(await t.store.messages.get(id, messageId)).toMatchObject({
      status: 'read',
      reachedAt: { queued: 10, sending: 20, sent: 30, delivered: 40, read: 40 },
      address: { lid: '77@lid' },
    })
    const events = await t.store.events.list({ sessionId: id, limit: 10 })
    expect(events.map(({ type, sequence }) => [type, sequence])).toEqual([
      ['message.queued', 1],
      ['message.sending', 2],
      ['message.sent', 3],
      ['message.read', 4],
    ])
    expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 0 })
  })

  test('receipts find messages by WhatsApp id, skip the unknown, and give each a step at most once', async () => {
    const id = await createHeldSession(t.store)
    const [a, b] = [await accept(newMessage(id)), await accept(newMessage(id))]
    for (const { id: messageId } of [a, b]) {
      await t.store.messages.take({ sessionId: id, id: messageId, epoch: 1, now: 1 }, tellsNothing)
      await t.store.messages.advance(id, messageId, { to: 'sent', at: 2 }, tellsNothing)
    }
    const ids = [a.whatsappId, 'UNKNOWN', b.whatsappId, a.whatsappId]
    const moved = await t.store.messages.advanceByWhatsappId(id, ids, { to: 'delivered', at: 5 }, tells('message.delivered'))
    expect(moved.map(({ record }) => record.id)).toEqual([a.id, b.id])
    expect(moved.map(({ published }) => published[0]?.event.sequence)).toEqual([3, 4])
    expect(await t.store.messages.advanceByWhatsappId(id, ids, { to: 'delivered', at: 5 }, tells('message.delivered'))).toEqual(
      [],
    )
    await t.store.messages.storeInbound(newInbound(id, 'INBOUND'), tellsNothing)
    expect(await t.store.messages.advanceByWhatsappId(id, ['INBOUND'], { to: 'read', at: 5 }, tellsNothing)).toEqual([])
  })

  test('a failure of unknown outcome still moves forward on proof, any other failure does not', async () => {
    const id = await createHeldSession(t.store)
    const outcomes: (string | undefined)[] = []
    for (const code of ['outcome_unknown', 'rejected_by_whatsapp']) {
      const { id: messageId, whatsappId } = await accept(newMessage(id))
      await t.store.messages.take({ sessionId: id, id: messageId, epoch: 1, now: 1 }, tellsNothing)
      const error = { code, detail: 'd' }
      expect(await t.store.messages.advance(id, messageId, { to: 'failed', at: 2, error }, tellsNothing)).toMatchObject({
        record: { status: 'failed', error },
      })
      const [proof] = await t.store.messages.advanceByWhatsappId(id, [whatsappId], { to: 'delivered', at: 3 }, tellsNothing)
      outcomes.push(proof?.record.status)
      expect((await t.store.messages.get(id, messageId))?.error).toEqual(proof ? null : error)
    }
    expect(outcomes).toEqual(['delivered', undefined])
    expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 0 })
  })

  test('cancel works while queued or scheduled, and is too late afterwards', async () => {
    const id = await createHeldSession(t.store)
    const queued = await accept(newMessage(id))
    const scheduled = await accept(newMessage(id, { status: 'scheduled', sendAt: 1e12 }))
    const sending = await accept(newMessage(id))
    expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 2, scheduled: 1 })
    for (const { id: messageId } of [queued, scheduled]) {
      expect(await t.store.messages.cancel(id, messageId, 50, tells('message.canceled'))).toMatchObject({
        record: { status: 'canceled', reachedAt: { canceled: 50 } },
        published: [{ event: { type: 'message.canceled' } }],
      })
      expect(await t.store.messages.cancel(id, messageId, 51, tellsNothing)).toBe('too_late')
    }
    await t.store.messages.take({ sessionId: id, id: sending.id, epoch: 1, now: 1 }, tellsNothing)
    expect(await t.store.messages.cancel(id, sending.id, 51, tellsNothing)).toBe('too_late')
    expect(await t.store.messages.cancel(id, 'msg_none', 51, tellsNothing)).toBeNull()
    expect(await t.store.messages.cancel('ses_other', sending.id, 51, tellsNothing)).toBeNull()
    expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 1, scheduled: 0 })
  })

  test('scheduled messages have a limit of their own', async () => {
    const id = await createHeldSession(t.store)
    const scheduled = () => newMessage(id, { status: 'scheduled', sendAt: 1e12 })
    await accept(scheduled(), 1)
    const refused = t.store.messages.accept({ message: scheduled(), idempotency: null, maxQueueDepth: 1, now: 1 }, tellsNothing)
    expect(await refused).toEqual({ outcome: 'queue_full', depth: 1 })
    await accept(newMessage(id), 1)
  })

  const error = { code: 'session_logged_out', detail: 'd' }
  const failPage = (sessionId: string, epoch = 1) =>
    t.store.messages.failUnfinished({ sessionId, epoch, error, at: 9, limit: 2 }, tells('message.failed'))

  test('failing what has not left goes page by page, scheduled ones too, and leaves ended ones alone', async () => {
    const id = await createHeldSession(t.store)
    const other = await accept(newMessage(await createHeldSession(t.store)))
    const canceled = await accept(newMessage(id))
    await t.store.messages.cancel(id, canceled.id, 1, tellsNothing)
    const sending = await accept(newMessage(id))
    await t.store.messages.take({ sessionId: id, id: sending.id, epoch: 1, now: 1 }, tellsNothing)
    for (let i = 0; i < 3; i++) await accept(newMessage(id))
    await accept(newMessage(id, { status: 'scheduled', sendAt: 1e12 }))
    const pages: number[] = []
    for (let page; page?.isEmpty !== true; pages.push(page.failed.length)) page = await failPage(id)
    expect(pages).toEqual([2, 2, 1, 0])
    const failed = await t.store.messages.list({ sessionId: id, status: 'failed', limit: 10 })
    expect(failed.data.map((message) => message.error)).toEqual(Array.from({ length: 5 }, () => error))
    expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 0, scheduled: 0 })
    expect(await promoteDue(t.store.messages, 2e12, 10, tells('message.queued'))).toEqual([])
    expect(await t.store.messages.get(id, canceled.id)).toMatchObject({ status: 'canceled' })
    expect(await t.store.messages.get(other.sessionId, other.id)).toMatchObject({ status: 'queued' })
  })

  test('what is canceled or expires while a page of it is failed hides nothing of what is left', async () => {
    const id = await createHeldSession(t.store)
    const messages = []
    for (let i = 0; i < 5; i++) messages.push(await accept(newMessage(id)))
    const [, second] = messages
    const [page] = await Promise.all([failPage(id), t.store.messages.cancel(id, second?.id ?? '', 1, tellsNothing)])
    expect(page.isEmpty).toBe(false)
    while (!(await failPage(id)).isEmpty);
    expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 0 })
  })

  test('who held the session before fails nothing any more', async () => {
    const id = await createHeldSession(t.store)
    const message = await accept(newMessage(id))
    await t.store.sessions.raiseEpoch(id, 2)
    await expect(failPage(id)).rejects.toMatchObject({ code: 'stale_epoch' })
    expect(await t.store.messages.get(id, message.id)).toMatchObject({ status: 'queued' })
    expect(await failPage(id, 2)).toMatchObject({ failed: [{ record: { id: message.id } }], isEmpty: false })
  })
})
