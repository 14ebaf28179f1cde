// The send path through an unmodified Baileys to phones that really decrypt: once, in order, whatever the network does.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { pino } from 'pino'
import type { SendQueueDrain } from '../../src/messages/drain-queue.ts'
import { recordLateAck, recordReceipt } from '../../src/messages/record-receipt.ts'
import { retryContent } from '../../src/messages/retry-content.ts'
import { storeInbound } from '../../src/messages/store-inbound.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { startTestSandbox, type TestSandbox } from '../support/sandbox.ts'
import { openSendRig, type SendRig } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'
import { WhatsAppSession } from '../support/whatsapp-session.ts'

const business = '254700000001'
const ackTimeoutMs = 1_500
let lastPerson = 254711000000

let server: TestRedis
let sandbox: TestSandbox
let session: WhatsAppSession
let rig: SendRig
let drain: SendQueueDrain
let isOver = false
/** New in each test. */
let person: string

beforeAll(async () => {
  server = await startTestRedis()
  sandbox = await startTestSandbox()
  await sandbox.client.addPhone({ phoneNumber: business })
  session = new WhatsAppSession(sandbox.url)
  await session.pair(sandbox, business)
  await session.close()
})
afterAll(async () => {
  await session.close()
  await sandbox.close()
  await server.close()
})

beforeEach(async () => {
  isOver = false
  lastPerson += 1
  person = String(lastPerson)
  await sandbox.client.clearFaults()
  await sandbox.client.addPhone({ phoneNumber: person, autoRead: true })
  rig = await openSendRig(server)
  const held = await rig.hold(1, { ackTimeoutMs, onSocketDead: () => void session.client?.close() })
  drain = held.drain
  const { messages } = rig.store
  const ending = new AbortController().signal
  const deps = { messages, announce: rig.announce, drain, ending, log: pino({ level: 'silent' }) }
  session.handlers = {
    open: async () => drain.attach(session.client!),
    closed: () => {
      void drain.detach()
      if (!isOver) connect()
    },
    receipt: (update) => recordReceipt(deps, rig.sessionId, update),
    lateAck: (update) => recordLateAck(deps, rig.sessionId, update),
    inbound: (message) => storeInbound(deps, rig.sessionId, message),
  }
  connect()
})
afterEach(async () => {
  isOver = true
  await session.close()
  await rig.close()
})

function connect(): void {
  session.connect({ getMessage: (whatsappId) => retryContent(rig.store.messages, rig.sessionId, whatsappId) })
}

async function acceptMany(count: number): Promise<MessageRecord[]> {
  return rig.acceptMany(count, { to: `+${person}` })
}

const ids = (messages: readonly MessageRecord[]) => messages.map(({ whatsappId }) => whatsappId)

/** What the phone shows, in the order it came. */
async function shownIds(count: number): Promise<string[]> {
  const onPhone = async () => (await sandbox.client.messages(person)).filter(({ fromMe }) => !fromMe)
  await waitFor(`${count} messages on the phone`, async () => (await onPhone()).length >= count, 60_000, 100)
  return (await onPhone()).toSorted((a, b) => a.order - b.order).map(({ id }) => id)
}

test('messages arrive once, in order, and every step of each is told in order', async () => {
  const messages = await acceptMany(40)
  expect(await shownIds(messages.length)).toEqual(ids(messages))
  await rig.allReach('read', messages, 60_000)
  const steps = ['queued', 'sending', 'sent', 'delivered', 'read'].map((status) => `message.${status}`)
  for (const message of messages) expect(await rig.eventsOf(message)).toEqual(steps)
  const { data } = await rig.store.messages.list({ sessionId: rig.sessionId, limit: 1 })
  expect(data[0]?.address).toMatchObject({ phoneNumber: person, lid: expect.stringMatching(/@lid$/) as string })
})

test('sockets closed and reset in the middle cost nothing', async () => {
  const messages = await acceptMany(100)
  for (const kind of ['close', 'reset', 'close', 'reset'] as const) {
    const before = (await sandbox.client.phone(person)).counts.distinctIds
    await waitFor('more to arrive', async () => (await sandbox.client.phone(person)).counts.distinctIds >= before + 5, 30_000)
    await sandbox.client.fault({ kind })
  }
  expect(await shownIds(messages.length)).toEqual(ids(messages))
  await rig.allReach('read', messages, 60_000)
})

test('messages whose acks are swallowed are sent again with the same id, and shown once', async () => {
  await waitFor('a socket', () => session.client?.isOpen)
  await sandbox.client.changePhone(person, { autoRead: false })
  await sandbox.client.fault({ kind: 'drop_acks', count: 2 })
  const messages = await acceptMany(10)
  expect(await shownIds(messages.length)).toEqual(ids(messages))
  await rig.allReach('delivered', messages, 60_000)
})

test('what a person writes is stored once, also across a reconnect', async () => {
  await waitFor('a socket', () => session.client?.isOpen)
  await sandbox.client.sendFrom(person, { to: business, text: 'Habari' })
  const told = () => rig.published.filter(({ event }) => event.type === 'message.received')
  await waitFor('it is told', () => told().length === 1)
  await sandbox.client.fault({ kind: 'close' })
  await sandbox.client.sendFrom(person, { to: business, text: 'Upo?' })
  const inbound = async () => (await rig.store.messages.list({ sessionId: rig.sessionId, direction: 'inbound', limit: 10 })).data
  await waitFor('both are told', () => told().length >= 2, 30_000)
  const texts = (await inbound()).map(({ content }) => (content['text'] as { body: string }).body)
  expect(texts.toReversed()).toEqual(['Habari', 'Upo?'])
  expect(told()).toHaveLength(2)
})

test('a reaction, an edit and a deletion are told under names of their own, and name what they change', async () => {
  await waitFor('a socket', () => session.client?.isOpen)
  const { id: whatsappId } = await sandbox.client.sendFrom(person, { to: business, text: 'Habaru' })
  await sandbox.client.sendFrom(person, { to: business, edit: { id: whatsappId, text: 'Habari' } })
  await sandbox.client.sendFrom(person, { to: business, reaction: { id: whatsappId, emoji: '👍' } })
  await sandbox.client.sendFrom(person, { to: business, delete: { id: whatsappId } })
  const told = (type: string) => {
    const messages = rig.published.filter(({ event }) => event.type === type).map(({ event }) => event.data['message'])
    return messages as Record<string, unknown>[]
  }
  await waitFor('all are told', () => told('message.deleted').length === 1)
  const from = expect.objectContaining({ phoneNumber: person })
  const inbound = { direction: 'inbound', status: 'received', from }
  expect(told('message.edited')).toMatchObject([{ ...inbound, type: 'edit', edit: { whatsappId }, text: { body: 'Habari' } }])
  expect(told('message.reaction')).toMatchObject([{ ...inbound, type: 'reaction', reaction: { whatsappId, emoji: '👍' } }])
  expect(told('message.deleted')).toMatchObject([{ ...inbound, type: 'delete', delete: { whatsappId } }])
  expect(told('message.received').at(-1)).toMatchObject({ whatsappId, text: { body: 'Habaru' } })
})

test('a number that is not on WhatsApp fails, those behind it leave', async () => {
  const wrong = await rig.accept('to nobody', { to: '+254 799 999 999' })
  const messages = await acceptMany(3)
  expect(await shownIds(messages.length)).toEqual(ids(messages))
  await rig.allReach('read', messages, 60_000)
  expect(await rig.store.messages.get(rig.sessionId, wrong.id)).toMatchObject({
    status: 'failed',
    error: { code: 'recipient_not_on_whatsapp' },
  })
})
