// Receipts and late acks: forward only, told as events, and a receipt stands in for an ack that never came.
import { beforeEach, expect, test } from 'vitest'
import { pino } from 'pino'
import { maxSockets } from '../../src/messages/message.ts'
import { recordLateAck, recordReceipt, type ReceiptDeps } from '../../src/messages/record-receipt.ts'
import { AppError } from '../../src/platform/errors.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'
import type { ReceiptUpdate, SendOutcome } from '../../src/whatsapp/whatsapp-client.ts'
import { acked, ScriptedClient } from '../support/scripted-client.ts'
import { rigForEachTest } from '../support/rig-for-each-test.ts'
import type { RigDrain, SendRig } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'

let rig: SendRig
let held: RigDrain
let deps: ReceiptDeps
let ending: AbortController
rigForEachTest((opened) => (rig = opened))
beforeEach(async () => {
  held = await rig.hold(1)
  ending = new AbortController()
  const log = pino({ level: 'silent' })
  deps = { messages: rig.store.messages, announce: rig.announce, drain: held.drain, ending: ending.signal, log }
})

const receipt = (status: ReceiptUpdate['status'], ...messages: MessageRecord[]) =>
  recordReceipt(deps, rig.sessionId, { whatsappIds: messages.map(({ whatsappId }) => whatsappId), status, at: Date.now() })
const never = () => new Promise<SendOutcome>(() => undefined)
const unknown: SendOutcome = { kind: 'unknown', reason: 'no_ack' }

async function sentMessages(count: number): Promise<MessageRecord[]> {
  held.drain.attach(new ScriptedClient())
  const messages = await rig.acceptMany(count)
  await rig.allReach('sent', messages)
  return messages
}

test('delivered, read and played are told once each, in order, for every message a receipt names', async () => {
  const [first, second] = (await sentMessages(2)) as [MessageRecord, MessageRecord]
  await receipt('delivered', first, second)
  await receipt('delivered', first)
  await receipt('read', first)
  await receipt('played', first)
  await receipt('delivered', first)
  expect(await rig.statuses([first, second])).toEqual(['played', 'delivered'])
  const types = ['queued', 'sending', 'sent', 'delivered', 'read', 'played'].map((status) => `message.${status}`)
  expect(await rig.eventsOf(first)).toEqual(types)
  const { reachedAt } = (await rig.store.messages.get(rig.sessionId, first.id)) as MessageRecord
  const times = [reachedAt.queued, reachedAt.sending, reachedAt.sent, reachedAt.delivered, reachedAt.read, reachedAt.played]
  expect(times).toEqual(times.toSorted((a, b) => (a ?? 0) - (b ?? 0)))
})

test('receipts for what is not ours are skipped', async () => {
  await recordReceipt(deps, rig.sessionId, { whatsappIds: ['3EB0STRANGER'], status: 'read', at: Date.now() })
  expect(rig.published).toEqual([])
})

test('a receipt for the message under way is its ack: sent is told before delivered, and the next one leaves', async () => {
  const client = new ScriptedClient((message) => (message.whatsappId === first?.whatsappId ? never() : acked()))
  const [first, second] = await rig.acceptMany(2)
  held.drain.attach(client)
  await waitFor('it is under way', () => client.frames.length === 1)
  await receipt('delivered', first!)
  await rig.allReach('sent', [second!])
  expect(await rig.eventsOf(first!)).toEqual(['message.queued', 'message.sending', 'message.sent', 'message.delivered'])
  expect(held.deadSockets).toEqual([])
  expect(client.frames).toHaveLength(2)
})

test('a receipt that comes before the next socket spares the message from being sent again', async () => {
  held.drain.attach(new ScriptedClient(() => unknown))
  const [first, second] = await rig.acceptMany(2)
  await waitFor('the socket is reported', () => held.deadSockets.length === 1)
  await receipt('read', first!)
  const next = new ScriptedClient()
  held.drain.attach(next)
  await rig.allReach('sent', [second!])
  expect(next.frames.map(({ whatsappId }) => whatsappId)).toEqual([second!.whatsappId])
  expect(await rig.statuses([first!])).toEqual(['read'])
})

test('a failure of unknown outcome gives way to a late ack and a receipt', async () => {
  const client = new ScriptedClient(() => unknown)
  const messages = await rig.acceptMany(1)
  for (let socket = 1; socket <= maxSockets; socket += 1) {
    held.drain.attach(client)
    await waitFor(`socket ${socket} is reported`, () => held.deadSockets.length === socket)
  }
  await rig.allReach('failed', messages)
  await recordLateAck(deps, rig.sessionId, { whatsappId: messages[0]!.whatsappId, at: Date.now() })
  expect(await rig.store.messages.get(rig.sessionId, messages[0]!.id)).toMatchObject({ status: 'sent', error: null })
  await receipt('read', messages[0]!)
  expect(await rig.statuses(messages)).toEqual(['read'])
})

test('a receipt that the store cannot take at once is recorded later', async () => {
  const messages = await sentMessages(1)
  let refusals = 2
  const advance: ReceiptDeps['messages']['advanceByWhatsappId'] = (...input) =>
    (refusals -= 1) >= 0 ? Promise.reject(new AppError('store_unavailable')) : rig.store.messages.advanceByWhatsappId(...input)
  deps = { ...deps, messages: { advanceByWhatsappId: advance } }
  await receipt('delivered', ...messages)
  expect(await rig.statuses(messages)).toEqual(['delivered'])
})

test('at the end of the process a receipt is refused instead of waited for, so that WhatsApp sends it again', async () => {
  const messages = await sentMessages(1)
  const away = () => Promise.reject(new AppError('store_unavailable'))
  deps = { ...deps, messages: { advanceByWhatsappId: away } }
  const recorded = receipt('delivered', ...messages)
  ending.abort()
  await expect(recorded).rejects.toMatchObject({ code: 'store_unavailable' })
  expect(await rig.statuses(messages)).toEqual(['sent'])
})
