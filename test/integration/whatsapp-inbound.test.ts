// What comes in: stored before WhatsApp is told that we have it, and neither lost nor ended by what cannot be read.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createSessionCaches } from '../../src/whatsapp/session-caches.ts'
import type { MemoryCredentials } from '../support/memory-credentials.ts'
import { startTestSandbox, type TestSandbox } from '../support/sandbox.ts'
import { startTamperingProxy, type TamperingProxy } from '../support/tampering-proxy.ts'
import { waitFor } from '../support/wait.ts'
import { WhatsAppSession } from '../support/whatsapp-session.ts'

const business = '254700000001'
let nextNumber = 254722000000

let sandbox: TestSandbox
let proxy: TamperingProxy
let session: WhatsAppSession
/** New in each test. */
let friend: string
beforeAll(async () => {
  sandbox = await startTestSandbox()
  proxy = await startTamperingProxy(sandbox.url)
  await sandbox.client.addPhone({ phoneNumber: business })
  session = new WhatsAppSession(proxy.url)
  await session.pair(sandbox, business)
})
afterAll(async () => {
  await session.close()
  await proxy.close()
  await sandbox.close()
})
beforeEach(async () => {
  await sandbox.client.clearFaults()
  session.handlers = {}
  if (!session.client?.isOpen) await session.reconnect()
  nextNumber += 1
  friend = String(nextNumber)
  await sandbox.client.addPhone({ phoneNumber: friend, name: 'Amina', autoRead: true })
})

const written = (text: string) => sandbox.client.sendFrom(friend, { to: business, text })
const textsOf = () =>
  session.inbound.filter(({ fromPhoneNumber }) => fromPhoneNumber === friend).map(({ content }) => content['text'])

test('a text arrives with both addresses of its sender', async () => {
  const { lid } = await sandbox.client.phone(friend)
  const sent = await written('habari')
  const inbound = await waitFor('the message', () => session.inbound.find(({ whatsappId }) => whatsappId === sent.id))
  expect(inbound).toMatchObject({
    chat: `${friend}@s.whatsapp.net`,
    participant: null,
    fromPhoneNumber: friend,
    fromLid: `${lid}@lid`,
    groupId: null,
    pushName: 'Amina',
    type: 'text',
    content: { text: { body: 'habari' } },
  })
  expect(Math.abs(inbound.at - Date.now())).toBeLessThan(60_000)
})

test('what comes while the socket is being closed is stored, or comes again: none is lost, none is doubled', async () => {
  await written('first')
  await waitFor('the first', () => textsOf().length === 1)
  let isClosing = false
  session.handlers = { traffic: () => void (isClosing && session.close()) }
  await session.reconnect()
  // As after a pause of the whole process: many frames at once, and the first thing it does is to close.
  await sandbox.client.fault({ kind: 'stall' })
  for (let n = 1; n <= 10; n += 1) await written(`meanwhile ${n}`)
  isClosing = true
  const closeCount = session.closes.length
  await sandbox.client.clearFaults()
  await session.waitClosed(closeCount + 1)
  isClosing = false
  await session.reconnect()
  await waitFor('all of them', () => textsOf().length >= 11)
  const expected = ['first', ...Array.from({ length: 10 }, (_, n) => `meanwhile ${n + 1}`)]
  expect(textsOf()).toEqual(expected.map((body) => ({ body })))
})

test('however it is addressed, it is the same chat', async () => {
  await sandbox.client.sendFrom(friend, { to: business, text: 'kwa namba', addressing: 'pn' })
  await sandbox.client.sendFrom(friend, { to: business, text: 'kwa lid', addressing: 'lid' })
  await waitFor('both', () => textsOf().length === 2)
  const chats = session.inbound.filter(({ fromPhoneNumber }) => fromPhoneNumber === friend).map(({ chat }) => chat)
  expect(chats).toEqual([`${friend}@s.whatsapp.net`, `${friend}@s.whatsapp.net`])
})

test('reactions, edits, deletions and places keep their kind', async () => {
  const first = await written('asili')
  await sandbox.client.sendFrom(friend, { to: business, edit: { id: first.id, text: 'sahihisho' } })
  await sandbox.client.sendFrom(friend, { to: business, location: { latitude: -1.28, longitude: 36.82, name: 'Nairobi' } })
  await sandbox.client.sendFrom(friend, { to: business, reaction: { id: first.id, emoji: '👍' } })
  await sandbox.client.sendFrom(friend, { to: business, delete: { id: first.id } })
  const kinds = () => session.inbound.filter(({ fromPhoneNumber }) => fromPhoneNumber === friend)
  await waitFor('all five', () => kinds().length === 5)
  expect(kinds().map(({ type }) => type)).toEqual(['text', 'edit', 'location', 'reaction', 'delete'])
  expect(kinds()[1]?.content).toMatchObject({ edit: { whatsappId: first.id }, text: { body: 'sahihisho' } })
  expect(kinds()[2]?.content).toMatchObject({ location: { latitude: -1.28, longitude: 36.82, name: 'Nairobi' } })
  expect(kinds()[3]?.content).toMatchObject({ reaction: { whatsappId: first.id, emoji: '👍' } })
})

test('what could not be stored is not receipted: it ends the socket, comes again readable, and then no more', async () => {
  session.handlers = { inbound: () => Promise.reject(new Error('the store is away')) }
  await session.reconnect()
  const closes = session.closes.length
  const sent = await written('usipotee')
  expect(await session.waitClosed(closes + 1)).toMatchObject({ reason: 'not_stored', action: 'retry' })
  session.handlers = {}
  await session.reconnect()
  await waitFor('it again', () => textsOf().length === 1)
  await session.reconnect()
  await written('baada yake')
  await waitFor('the next one', () => textsOf().length === 2)
  expect(session.inbound.filter(({ whatsappId }) => whatsappId === sent.id)).toHaveLength(1)
})

test('a process that dies right after storing gets it again, readable, and a later one still reads on', async () => {
  await written('kwanza')
  await waitFor('the first', () => textsOf().length === 1)
  const died: { left?: MemoryCredentials } = {}
  session.handlers = {
    inbound: (message) => {
      session.inbound.push(message)
      died.left ??= session.credentials.snapshot()
      // Dead: nothing after this moment reaches the store or the network.
      session.credentials.isStale = true
      session.mayWrite = false
      return Promise.resolve()
    },
  }
  await session.reconnect()
  const closes = session.closes.length
  const sent = await written('pili')
  await session.waitClosed(closes + 1)
  session.mayWrite = true
  session.credentials = died.left ?? session.credentials
  session.caches = createSessionCaches()
  session.handlers = {}
  await session.reconnect()
  await waitFor('it again', () => session.inbound.filter(({ whatsappId }) => whatsappId === sent.id).length === 2)
  await written('tatu')
  await waitFor('the third', () => textsOf().some((text) => JSON.stringify(text).includes('tatu')))
  expect((await sandbox.client.phone(friend)).counts.decryptFailures).toBe(0)
})

test('a message whose receipt alone got lost is receipted at the next login, neither reported nor asked for again', async () => {
  const asked: string[] = []
  session.handlers = {
    inbound: (message) => {
      session.inbound.push(message)
      session.mayWrite = false
      return Promise.resolve()
    },
  }
  session.overrides = {
    hasInbound: (whatsappId) => {
      asked.push(whatsappId)
      return Promise.resolve(session.inbound.some((message) => message.whatsappId === whatsappId))
    },
  }
  await session.reconnect()
  const closes = session.closes.length
  const sent = await written('risiti imepotea')
  await session.waitClosed(closes + 1)
  session.mayWrite = true
  session.handlers = {}
  await session.reconnect()
  await waitFor('it to be recognised', () => asked.includes(sent.id))
  await written('baada yake')
  await waitFor('the next', () => textsOf().length === 2)
  await session.reconnect()
  await written('tena')
  await waitFor('the third', () => textsOf().length === 3)
  session.overrides = {}
  expect(asked).toEqual([sent.id])
  expect(session.inbound.filter(({ whatsappId }) => whatsappId === sent.id)).toHaveLength(1)
})

test('what is written while nobody is connected comes at the next login, in order', async () => {
  await session.close()
  for (const text of ['moja', 'mbili', 'tatu']) await written(text)
  await session.reconnect()
  await waitFor('all three', () => textsOf().length === 3)
  expect(textsOf()).toEqual([{ body: 'moja' }, { body: 'mbili' }, { body: 'tatu' }])
})

test('a receipt that could not be stored comes again', async () => {
  let failures = 0
  session.handlers = {
    receipt: () => {
      failures += 1
      return Promise.reject(new Error('the store is away'))
    },
  }
  await session.reconnect()
  const closes = session.closes.length
  const message = session.message(friend, 'risiti')
  await session.open.send(message, 10_000)
  await session.waitClosed(closes + 1)
  expect(failures).toBe(1)
  session.handlers = {}
  await session.reconnect()
  const statuses = () => session.receipts.filter(({ whatsappIds }) => whatsappIds.includes(message.whatsappId))
  await waitFor('both receipts', () => new Set(statuses().map(({ status }) => status)).size === 2)
})

test('a frame that cannot be decrypted ends that socket, not the process, and the next one works', async () => {
  const closes = session.closes.length
  const rejections: unknown[] = []
  const onRejection = (reason: unknown) => rejections.push(reason)
  process.on('unhandledRejection', onRejection)
  proxy.injectGarbage()
  expect(await session.waitClosed(closes + 1)).toMatchObject({ reason: 'bad_frame', action: 'retry' })
  await session.reconnect()
  expect((await session.send(friend, 'bado hai')).kind).toBe('acked')
  process.off('unhandledRejection', onRejection)
  expect(rejections).toEqual([])
})

test('events of a socket that has ended are heard no more', async () => {
  const old = session.client
  await session.close()
  const count = session.log.length
  await written('baadaye')
  expect(await old?.send(session.message(friend, 'x'), 1_000)).toMatchObject({ kind: 'unknown' })
  expect(session.log).toHaveLength(count)
  await session.reconnect()
  await waitFor('it', () => textsOf().length === 1)
})

test('a second session with the same friends keeps its own keys', async () => {
  await sandbox.client.addPhone({ phoneNumber: '254700000077' })
  const other = new WhatsAppSession(sandbox.url)
  await other.pair(sandbox, '254700000077')
  await Promise.all([session.send(friend, 'kutoka moja'), other.send(friend, 'kutoka mbili')])
  const senders = async () => (await sandbox.client.messages(friend)).map(({ from }) => from).toSorted()
  await waitFor('both', async () => (await senders()).length === 2)
  expect(await senders()).toEqual([business, '254700000077'])
  await other.close()
})
