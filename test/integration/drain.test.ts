// Draining a send queue, on a real Redis and a real store: order, one at a time, and what follows each outcome of a send.
import { expect, test } from 'vitest'
import { describeMessage } from '../../src/messages/message-events.ts'
import { maxSockets } from '../../src/messages/message.ts'
import type { SendOutcome } from '../../src/whatsapp/whatsapp-client.ts'
import { acked, ScriptedClient } from '../support/scripted-client.ts'
import { ids } from '../support/paced-rig.ts'
import { rigForEachTest } from '../support/rig-for-each-test.ts'
import type { SendRig } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'

let rig: SendRig
rigForEachTest((opened) => (rig = opened))

const never = () => new Promise<SendOutcome>(() => undefined)
const bodyOf = ({ content }: { content: Record<string, unknown> }) => (content['text'] as { body: string }).body

test('messages leave once, in the order they were accepted, one at a time, and every step is told', async () => {
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  drain.attach(client)
  const messages = await rig.acceptMany(30)
  await rig.allReach('sent', messages)
  expect(ids(client.frames)).toEqual(ids(messages))
  expect(client.frames.map(bodyOf)).toEqual(messages.map(bodyOf))
  expect(client.mostAtOnce).toBe(1)
  expect(await rig.eventsOf(messages[0]!)).toEqual(['message.queued', 'message.sending', 'message.sent'])
  expect(await rig.accepting.redis.keys(`${rig.prefix}:bull:*msg_*`)).toEqual([])
})

test('what was queued while nobody held the session leaves when somebody does, high before normal before bulk', async () => {
  const bulk = await rig.acceptMany(2, { priority: 'bulk' })
  const normal = await rig.acceptMany(2)
  const high = await rig.acceptMany(2, { priority: 'high' })
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  drain.attach(client)
  await rig.allReach('sent', [...bulk, ...normal, ...high])
  expect(ids(client.frames)).toEqual(ids([...high, ...normal, ...bulk]))
})

test('a refused message fails with its reason and the next one leaves', async () => {
  const { drain, deadSockets } = await rig.hold(1)
  const detail = 'The number is not on WhatsApp.'
  const refused: SendOutcome = { kind: 'rejected', code: 'recipient_not_on_whatsapp', detail, ackError: null, untilMs: null }
  const client = new ScriptedClient((message) => (bodyOf(message) === 'message 1' ? refused : acked()))
  drain.attach(client)
  const [first, second] = await rig.acceptMany(2)
  await rig.allReach('sent', [second!])
  const failed = await rig.store.messages.get(rig.sessionId, first!.id)
  expect(failed).toMatchObject({ status: 'failed', error: { code: 'recipient_not_on_whatsapp', detail } })
  expect(await rig.eventsOf(first!)).toEqual(['message.queued', 'message.sending', 'message.failed'])
  expect(deadSockets).toEqual([])
})

test('without an answer the socket is dead, and the same message with the same id comes first on the next one', async () => {
  const { drain, deadSockets } = await rig.hold(1)
  const lost = new ScriptedClient((message) =>
    bodyOf(message) === 'message 2' ? { kind: 'unknown', reason: 'no_ack' } : acked(),
  )
  drain.attach(lost)
  const messages = await rig.acceptMany(4)
  await waitFor('the socket is reported', () => deadSockets.length > 0)
  expect(await rig.statuses(messages)).toEqual(['sent', 'sending', 'queued', 'queued'])
  const next = new ScriptedClient(acked, lost.frames)
  drain.attach(next)
  await rig.allReach('sent', messages)
  expect(deadSockets).toEqual(['no_ack'])
  expect(ids(lost.frames)).toEqual(ids([messages[0]!, messages[1]!, messages[1]!, messages[2]!, messages[3]!]))
  expect(await rig.store.messages.get(rig.sessionId, messages[1]!.id)).toMatchObject({ attemptCount: 2, status: 'sent' })
})

test('refused when it was sent again, its outcome is unknown: a receipt for the first try still counts', async () => {
  const { drain, deadSockets } = await rig.hold(1)
  const refused: SendOutcome = {
    kind: 'rejected',
    code: 'rejected_by_whatsapp',
    detail: 'WhatsApp refused the message with error 500.',
    ackError: 500,
    untilMs: null,
  }
  const client = new ScriptedClient((_, tryNumber) => (tryNumber === 1 ? { kind: 'unknown', reason: 'no_ack' } : refused))
  drain.attach(client)
  const message = await rig.accept('Habari')
  await waitFor('the socket is reported', () => deadSockets.length === 1)
  drain.attach(client)
  await rig.allReach('failed', [message])
  const failed = await rig.store.messages.get(rig.sessionId, message.id)
  expect(failed?.error).toMatchObject({ code: 'outcome_unknown', detail: expect.stringMatching(/error 500\. An earlier try/) })
  await rig.store.messages.advanceByWhatsappId(
    rig.sessionId,
    [message.whatsappId],
    { to: 'read', at: Date.now() },
    describeMessage,
  )
  expect(await rig.store.messages.get(rig.sessionId, message.id)).toMatchObject({ status: 'read', error: null })
})

test('after ten sockets its outcome is unknown for good and the lane goes on', async () => {
  const { drain, deadSockets } = await rig.hold(1)
  const client = new ScriptedClient((message) =>
    bodyOf(message) === 'message 1' ? { kind: 'unknown', reason: 'no_ack' } : acked(),
  )
  const [first, second] = await rig.acceptMany(2)
  for (let socket = 1; socket <= maxSockets; socket += 1) {
    drain.attach(client)
    await waitFor(`socket ${socket} is reported`, () => deadSockets.length === socket)
  }
  drain.attach(client)
  await rig.allReach('sent', [second!])
  const failed = await rig.store.messages.get(rig.sessionId, first!.id)
  expect(failed).toMatchObject({ status: 'failed', error: { code: 'outcome_unknown' }, attemptCount: maxSockets })
  expect(client.frames.filter(({ whatsappId }) => whatsappId === first!.whatsappId)).toHaveLength(maxSockets)
})

test('a client that throws or never answers costs a socket, not the lane', async () => {
  const { drain, deadSockets } = await rig.hold(1)
  drain.attach(new ScriptedClient(() => Promise.reject(new Error('a bug in the client'))))
  const messages = await rig.acceptMany(2)
  await waitFor('the socket is reported', () => deadSockets.length === 1)
  const deaf = new ScriptedClient(never)
  drain.attach(deaf)
  await waitFor('it is handed over', () => deaf.frames.length === 1)
  await deaf.close()
  await waitFor('the socket is reported', () => deadSockets.length === 2)
  drain.attach(new ScriptedClient())
  await rig.allReach('sent', messages)
  expect(deadSockets).toHaveLength(2)
})

test('detaching waits for the send in flight and takes nothing more', async () => {
  const { drain, deadSockets } = await rig.hold(1)
  let ack = () => {}
  const client = new ScriptedClient(async () => {
    await new Promise<void>((resolve) => (ack = resolve))
    return acked()
  })
  drain.attach(client)
  const messages = await rig.acceptMany(3)
  await waitFor('the first is under way', () => drain.busy)
  const detached = drain.detach()
  expect(drain.busy).toBe(true)
  ack()
  await detached
  expect(drain.busy).toBe(false)
  expect(await rig.statuses(messages)).toEqual(['sent', 'queued', 'queued'])
  expect(client.frames).toHaveLength(1)
  expect(deadSockets).toEqual([])
})

test('without a trusted lease nothing leaves; when it is trusted again a wake-up suffices', async () => {
  const { drain, lease } = await rig.hold(1)
  lease.trusted = false
  const client = new ScriptedClient()
  drain.attach(client)
  const messages = await rig.acceptMany(3)
  expect(await rig.statuses(messages)).toEqual(['queued', 'queued', 'queued'])
  expect(client.frames).toEqual([])
  lease.trusted = true
  drain.wake()
  await rig.allReach('sent', messages)
})

test('a lease that is lost while a message is under way leaves the job to the next holder, who sends it first', async () => {
  const { drain, lease } = await rig.hold(1)
  const old = new ScriptedClient(never)
  drain.attach(old)
  const messages = await rig.acceptMany(4)
  await waitFor('the first is under way', () => old.frames.length === 1)
  lease.trusted = false
  const next = await rig.hold(2)
  const client = new ScriptedClient(acked, old.frames)
  next.drain.attach(client)
  await rig.allReach('sent', messages)
  await old.close()
  lease.trusted = true
  drain.attach(old)
  drain.wake('compare')
  const late = await rig.accept('late')
  await rig.allReach('sent', [late])
  expect(ids(client.frames)).toEqual(ids([messages[0]!, ...messages, late]))
})

test('a holder that the store has superseded sends nothing, however much it trusts its lease', async () => {
  const stale = await rig.hold(1)
  const next = await rig.hold(2)
  const client = new ScriptedClient()
  stale.drain.attach(client)
  const messages = await rig.acceptMany(3)
  await waitFor('it notices', () => stale.deadSockets.length > 0)
  expect(stale.deadSockets).toEqual(['stale_epoch'])
  expect(client.frames).toEqual([])
  const right = new ScriptedClient()
  next.drain.attach(right)
  await next.drain.recover()
  await rig.allReach('sent', messages)
  expect(ids(right.frames)).toEqual(ids(messages))
})

test('a message canceled or expired while queued is never handed over', async () => {
  const [first, second] = await rig.acceptMany(2)
  await rig.store.messages.cancel(rig.sessionId, first!.id, Date.now(), () => [])
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  drain.attach(client)
  await rig.allReach('sent', [second!])
  expect(ids(client.frames)).toEqual(ids([second!]))
})

test('jobs that came in another order than the store counted leave in the store’s', async () => {
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  await drain.recover()
  const messages = []
  for (let n = 1; n <= 40; n += 1) messages.push(await rig.acceptWithoutQueue(`message ${n}`))
  for (const { id } of messages.toReversed()) await rig.accepting.queues.add(rig.sessionId, id, 'normal')
  drain.attach(client)
  await rig.allReach('sent', messages)
  expect(ids(client.frames)).toEqual(ids(messages))
})

test('a message whose job is missing leaves before a later one that has its job', async () => {
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  await drain.recover()
  const missing = await rig.acceptWithoutQueue('missing')
  drain.attach(client)
  const later = await rig.acceptMany(3)
  await rig.allReach('sent', [missing, ...later])
  expect(ids(client.frames)).toEqual(ids([missing, ...later]))
})

test('messages held back let others pass, and come back ahead of later ones when their time has come', async () => {
  await rig.configure({ perRecipientSeconds: 0.001 })
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  await drain.recover()
  const held = await rig.acceptMany(2)
  const holdUntil = async (heldUntil: number) => {
    await rig.holdBack(held, heldUntil)
    await drain.recover()
  }
  await holdUntil(Date.now() + 60_000)
  const other = await rig.accept('to somebody else', { to: '+254 700 000 002' })
  drain.attach(client)
  await rig.allReach('sent', [other])
  expect(await rig.statuses(held)).toEqual(['queued', 'queued'])
  await drain.detach()
  const later = await rig.accept('later')
  await holdUntil(Date.now())
  drain.attach(client)
  await rig.allReach('sent', [...held, later])
  expect(ids(client.frames)).toEqual(ids([other, ...held, later]))
})

test('a message that must wait for a held one does not stop the other lanes', async () => {
  await rig.configure({ perRecipientSeconds: 0.001 })
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  await drain.recover()
  const held = await rig.accept('held')
  await rig.holdBack([held], Date.now() + 60_000)
  await drain.recover()
  const behind = await rig.accept('behind it')
  const bulk = await rig.acceptMany(3, { priority: 'bulk' })
  drain.attach(client)
  await rig.allReach('sent', bulk)
  expect(await rig.statuses([held, behind])).toEqual(['queued', 'queued'])
})
