// Who steps aside and comes back: recipients’ intervals, lanes, strangers, and WhatsApp’s own restriction.
import { expect, test } from 'vitest'
import { cancelMessage } from '../../src/messages/cancel-message.ts'
import { SendQueues } from '../../src/messages/send-queue.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'
import type { SendOutcome } from '../../src/whatsapp/whatsapp-client.ts'
import { acceptTo, hearFrom, ids, stored, timed } from '../support/paced-rig.ts'
import { acked } from '../support/scripted-client.ts'
import { rigForEachTest } from '../support/rig-for-each-test.ts'
import type { SendRig } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'

let rig: SendRig
rigForEachTest((opened) => (rig = opened))

test('what its recipient’s interval keeps back lets others pass, and comes back in its turn', async () => {
  await rig.configure({ perRecipientSeconds: 0.7 })
  const { drain } = await rig.hold(1)
  const { client, times } = timed()
  drain.attach(client)
  const messages = await acceptTo(rig, [1, 1, 2, 1, 2, 3])
  const [a1, a2, b1, a3, b2, c1] = messages as [
    MessageRecord,
    MessageRecord,
    MessageRecord,
    MessageRecord,
    MessageRecord,
    MessageRecord,
  ]
  await rig.allReach('sent', [a1, b1, c1])
  await rig.allReach('sent', messages)
  const order = ids(client.frames)
  const ofA = ids([a1, a2, a3])
  expect(order.filter((id) => ofA.includes(id))).toEqual(ofA)
  expect(order.filter((id) => ids([b1, b2]).includes(id))).toEqual(ids([b1, b2]))
  expect(order.indexOf(c1.whatsappId)).toBeLessThan(order.indexOf(a2.whatsappId))
  const at = (message: MessageRecord) => times[order.indexOf(message.whatsappId)] ?? 0
  for (const [before, after] of [
    [a1, a2],
    [a2, a3],
    [b1, b2],
  ] as const)
    expect(at(after) - at(before)).toBeGreaterThan(690)
  expect(await stored(rig, a2)).toMatchObject({ heldBy: null, heldUntil: null })
})

test('whoever comes back leaves before those accepted later', async () => {
  await rig.configure({ messagesPerMinute: 600, perRecipientSeconds: 0.5 })
  const { drain } = await rig.hold(1)
  const { client } = timed()
  const messages = await acceptTo(rig, [1, 1, ...Array.from({ length: 15 }, (_, n) => n + 10)])
  drain.attach(client)
  await rig.allReach('sent', messages)
  const order = ids(client.frames)
  const back = order.indexOf(messages[1]!.whatsappId)
  expect(back).toBeGreaterThan(1)
  expect(back).toBeLessThan(order.length - 1)
  const others = ids(messages).filter((id) => id !== messages[1]!.whatsappId)
  expect(order.filter((id) => id !== messages[1]!.whatsappId)).toEqual(others)
})

test('what comes back at the moment when the next one is taken leaves first, and that one is not held for itself', async () => {
  await rig.configure({ perRecipientSeconds: 1 })
  const { messages } = rig.store
  let isFirst = true
  const take: typeof messages.take = async (input, describe) => {
    if (!isFirst || input.id !== next?.id) return messages.take(input, describe)
    isFirst = false
    const { heldUntil } = await waitFor('the second one is held', () => messages.get(rig.sessionId, held.id))
    await waitFor('its time has come', () => Date.now() > (heldUntil ?? Infinity))
    return messages.take({ ...input, now: Date.now() }, describe)
  }
  const { drain } = await rig.hold(1, { messages: { ...messages, take } })
  const { client } = timed()
  const accepted = await acceptTo(rig, [1, 1, 2, 3])
  const [, held, next] = accepted as [MessageRecord, MessageRecord, MessageRecord]
  drain.attach(client)
  await rig.allReach('sent', accepted)
  expect(isFirst).toBe(false)
  expect(ids(client.frames)).toEqual(ids(accepted))
})

test('high leaves before normal before bulk, each in order, however they are paced', async () => {
  await rig.configure({ messagesPerMinute: 2_400, perRecipientSeconds: 0.05 })
  const { drain } = await rig.hold(1)
  const lanes = { bulk: [1, 2, 1, 2], normal: [3, 4, 3, 4], high: [5, 6, 5, 6] } as const
  const accepted = new Map<string, MessageRecord[]>()
  for (const [priority, recipients] of Object.entries(lanes)) {
    accepted.set(priority, await acceptTo(rig, recipients, { priority: priority as keyof typeof lanes }))
  }
  const { client } = timed()
  drain.attach(client)
  const all = [...accepted.values()].flat()
  await rig.allReach('sent', all)
  const order = ids(client.frames)
  for (const messages of accepted.values()) {
    for (const recipient of new Set(messages.map((each) => each.recipient))) {
      const chain = ids(messages.filter((each) => each.recipient === recipient))
      expect(order.filter((id) => chain.includes(id))).toEqual(chain)
    }
  }
  expect(order[0]).toBe(accepted.get('high')![0]!.whatsappId)
  expect(order.indexOf(accepted.get('normal')![0]!.whatsappId)).toBeLessThan(order.indexOf(accepted.get('bulk')![0]!.whatsappId))
})

test('strangers beyond the day’s allowance wait for midnight; who wrote to us, and what is urgent, does not', async () => {
  await rig.configure({ newContactsPerDay: 2 })
  const { drain } = await rig.hold(1)
  const { client } = timed()
  drain.attach(client)
  await hearFrom(rig, 9)
  const [one, two, three, four, known] = (await acceptTo(rig, [1, 2, 3, 4, 9])) as [
    MessageRecord,
    MessageRecord,
    MessageRecord,
    MessageRecord,
    MessageRecord,
  ]
  const [again] = await acceptTo(rig, [1])
  const [urgent] = await acceptTo(rig, [5], { priority: 'high' })
  await rig.allReach('sent', [one, two, known, again!, urgent!])
  const midnight = Math.ceil(Date.now() / 86_400_000) * 86_400_000
  await waitFor('both are held', async () => (await stored(rig, four)).heldBy !== null)
  expect(await stored(rig, three)).toMatchObject({ status: 'queued', heldBy: 'new_contacts', heldUntil: midnight })
  expect(await stored(rig, four)).toMatchObject({ status: 'queued', heldBy: 'new_contacts', heldUntil: midnight })
  await hearFrom(rig, 3)
  drain.heard()
  await rig.allReach('sent', [three])
  expect((await stored(rig, four)).status).toBe('queued')
  await drain.close()
  const next = await rig.hold(2)
  const other = timed()
  next.drain.attach(other.client)
  const [after] = await acceptTo(rig, [2])
  await rig.allReach('sent', [after!])
  expect((await stored(rig, four)).status).toBe('queued')
  await rig.configure({ newContactsPerDay: 10 })
  await rig.allReach('sent', [four])
})

test('after a 463 nobody new is written to until the time it gives; that message is never tried again, replies go on', async () => {
  const refused = (): SendOutcome => ({
    kind: 'rejected',
    code: 'reach_out_restricted',
    detail: 'closed',
    ackError: 463,
    untilMs: Date.now() + 1_500,
  })
  let isFirst = true
  const { drain } = await rig.hold(1)
  const { client } = timed(() => {
    const outcome = isFirst ? refused() : acked()
    isFirst = false
    return outcome
  })
  drain.attach(client)
  await hearFrom(rig, 9)
  const [rejected, stranger, urgent, friend] = [
    (await acceptTo(rig, [1]))[0]!,
    (await acceptTo(rig, [2]))[0]!,
    (await acceptTo(rig, [3], { priority: 'high' }))[0]!,
    (await acceptTo(rig, [9]))[0]!,
  ]
  await rig.allReach('sent', [friend])
  await rig.allReach('sent', [stranger, urgent])
  expect(await stored(rig, rejected)).toMatchObject({
    status: 'failed',
    error: { code: 'reach_out_restricted' },
    attemptCount: 1,
  })
  expect(client.frames.filter(({ whatsappId }) => whatsappId === rejected.whatsappId)).toHaveLength(1)
})

test.each([
  ['that has passed', () => Date.now() - 60_000],
  ['that is no time', () => Number.NaN],
])('after a 463 with an end %s nobody new is written to for an hour', async (_, untilMs) => {
  const { drain } = await rig.hold(1)
  const { client } = timed(() => ({
    kind: 'rejected',
    code: 'reach_out_restricted',
    detail: 'closed',
    ackError: 463,
    untilMs: untilMs(),
  }))
  drain.attach(client)
  const startedAt = Date.now()
  const [refused, ...others] = (await acceptTo(rig, [1, 2, 3, 4])) as [MessageRecord, ...MessageRecord[]]
  await rig.allReach('failed', [refused])
  for (const other of others) {
    const held = await waitFor('it is held', async () => {
      const message = await stored(rig, other)
      return message.heldUntil !== null && message
    })
    expect(held).toMatchObject({ status: 'queued', heldBy: 'restriction' })
    expect(held.heldUntil).toBeGreaterThanOrEqual(startedAt + 3_600_000)
  }
  expect(client.frames).toHaveLength(1)
})

test('number and LID of one person are one recipient: one interval and one line, also for what was accepted before it was known', async () => {
  await rig.configure({ perRecipientSeconds: 0.8 })
  const lid = '77001122334455@lid'
  const { client, times } = timed(() => ({ kind: 'acked', at: Date.now(), lid }))
  const { drain } = await rig.hold(1)
  const [a, b] = (await acceptTo(rig, [1, 1])) as [MessageRecord, MessageRecord]
  const c = await rig.accept('C', { to: lid })
  drain.attach(client)
  await rig.allReach('sent', [a])
  const d = await rig.accept('D', { to: lid })
  await rig.allReach('sent', [b, c, d])
  expect(ids(client.frames)).toEqual(ids([a, b, c, d]))
  expect(client.frames.map(({ recipient }) => recipient)).toEqual([a.recipient, a.recipient, lid, lid])
  for (const n of [1, 2, 3]) expect((times[n] ?? 0) - (times[n - 1] ?? 0)).toBeGreaterThan(790)
})

test.each([
  ['a shorter interval', { perRecipientSeconds: 0.2 }],
  ['none', { perRecipientSeconds: null }],
])('%s set while nobody holds the session counts for what is held back', async (_, changes) => {
  await rig.configure({ perRecipientSeconds: 3_600, newContactsPerDay: 'warmup' })
  const first = await rig.hold(1)
  first.drain.attach(timed().client)
  const messages = await acceptTo(rig, [1, 1])
  await waitFor('the second one is held', async () => (await stored(rig, messages[1]!)).heldBy === 'recipient')
  await first.drain.close()
  await rig.configure(changes)
  const second = await rig.hold(2)
  second.drain.attach(timed().client)
  await rig.allReach('sent', messages)
  expect(await stored(rig, messages[1]!)).toMatchObject({ status: 'sent', heldBy: null })
})

test('a new holder leaves alone what is held back under the settings that still stand', async () => {
  await rig.configure({ newContactsPerDay: 0 })
  const first = await rig.hold(1)
  first.drain.attach(timed().client)
  const [stranger] = await acceptTo(rig, [1])
  await waitFor('it is held', async () => (await stored(rig, stranger!)).heldBy !== null)
  await first.drain.close()
  const { messages } = rig.store
  let releasedCount = 0
  const releaseHeld: typeof messages.releaseHeld = (input) => {
    releasedCount += 1
    return messages.releaseHeld(input)
  }
  const second = await rig.hold(2, { messages: { ...messages, releaseHeld } })
  second.drain.attach(timed().client)
  await hearFrom(rig, 9)
  await rig.allReach('sent', await acceptTo(rig, [9]))
  expect(releasedCount).toBe(0)
})

test('one that is canceled leaves no hole: those held back behind it take its place', async () => {
  await rig.configure({ perRecipientSeconds: 3_600 })
  const { drain } = await rig.hold(1)
  drain.attach(timed().client)
  const [second, third, last] = (await acceptTo(rig, [1, 1, 1, 1])).slice(1) as [MessageRecord, MessageRecord, MessageRecord]
  const holdOf = async (message: MessageRecord) => (await stored(rig, message)).heldUntil ?? 0
  await waitFor('all are held', async () => (await holdOf(last)) > 0)
  const freeAt = await holdOf(second)
  expect(await holdOf(last)).toBeGreaterThan(freeAt + 7_000_000)
  const queues = new SendQueues(rig.accepting.redis, rig.prefix)
  const deps = { ...rig.accepting, messages: rig.store.messages, queues }
  for (const { id } of [second, third]) await cancelMessage(deps, rig.sessionId, id)
  const isBack = async () => (await holdOf(last)) > Date.now() && (await holdOf(last)) < freeAt + 60_000
  await waitFor('the last one waits for its recipient alone', isBack)
  expect((await stored(rig, last)).heldBy).toBe('recipient')
  queues.close()
})

test('whoever was written to urgently is no stranger: what waited for a day with room leaves', async () => {
  await rig.configure({ newContactsPerDay: 0 })
  const { drain } = await rig.hold(1)
  drain.attach(timed().client)
  const [waiting, other] = (await acceptTo(rig, [1, 2])) as [MessageRecord, MessageRecord]
  for (const message of [waiting, other]) await waitFor('it is held', async () => (await stored(rig, message)).heldBy !== null)
  const [urgent] = (await acceptTo(rig, [1], { priority: 'high' })) as [MessageRecord]
  await rig.allReach('sent', [urgent, waiting])
  expect(await stored(rig, other)).toMatchObject({ status: 'queued', heldBy: 'new_contacts' })
})

test('a restriction that is stored binds the next holder, without any pacing, but not what a session sends to itself', async () => {
  await rig.store.sessions.raiseEpoch(rig.sessionId, 1)
  const restriction = { reason: 'reach_out_restricted', until: Date.now() + 60_000 }
  const own = { phoneNumber: '254799999999', lid: '123456789012345@lid' }
  await rig.store.sessions.update(rig.sessionId, 1, { restriction, ...own }, () => [])
  await hearFrom(rig, 9)
  const { drain } = await rig.hold(2)
  drain.attach(timed().client)
  const [stranger, friend] = await acceptTo(rig, [1, 9])
  const toItself = [await rig.accept('a note', { to: own.phoneNumber }), await rig.accept('another', { to: own.lid })]
  await rig.allReach('sent', [friend!, ...toItself])
  expect(await stored(rig, stranger!)).toMatchObject({ status: 'queued', heldBy: 'restriction', heldUntil: restriction.until })
})
