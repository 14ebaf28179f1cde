// Devices and ratchets that change under us: who gets a message then, and how damage heals.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { expect, test } from 'vitest'
import { startBaileys, type BaileysClient } from '../support/baileys.ts'
import { business, friendForEachTest } from '../support/friend-for-each-test.ts'
import type { TestSandbox } from '../support/sandbox.ts'
import { waitFor } from '../support/wait.ts'
import { WhatsAppSession } from '../support/whatsapp-session.ts'

let sandbox: TestSandbox
let session: WhatsAppSession
let friend: string
friendForEachTest((opened) => ({ sandbox, session, friend } = opened), { autoRead: true })

const shown = async (phoneNumber = friend) => (await sandbox.client.messages(phoneNumber)).filter(({ fromMe }) => !fromMe)

test('479 drops what was known of the devices and tries once more with the same id', async () => {
  expect((await session.send(friend, 'kwanza')).kind).toBe('acked')
  await sandbox.client.fault({ kind: 'ack_error', code: 479, count: 1 })
  const message = session.message(friend, 'tena')
  expect((await session.open.send(message, 10_000)).kind).toBe('acked')
  await waitFor('it shown', async () => (await shown()).some(({ id }) => id === message.whatsappId))
  await sandbox.client.fault({ kind: 'ack_error', code: 479 })
  expect(await session.send(friend, 'kamwe')).toMatchObject({ kind: 'rejected', ackError: 479 })
  expect((await sandbox.client.phone(friend)).counts.decryptFailures).toBe(0)
})

test('a phone that cannot decrypt asks again and is answered with what was sent', async () => {
  expect((await session.send(friend, 'moja')).kind).toBe('acked')
  await waitFor('it read', async () => (await shown())[0]?.read)
  const stale = session.credentials.snapshot()
  for (const text of ['mbili', 'tatu']) expect((await session.send(friend, text)).kind).toBe('acked')
  await session.close()
  // The ratchet of two messages ago: what a worker with a stale copy of the keys would use.
  session.credentials = stale
  session.caches.forgetKeys()
  await session.reconnect()
  const message = session.message(friend, 'nne')
  expect((await session.open.send(message, 10_000)).kind).toBe('acked')
  await waitFor('it shown after a retry', async () => (await shown()).some(({ id }) => id === message.whatsappId), 30_000)
  expect(session.retriesAnswered).toContain(message.whatsappId)
  expect((await shown()).map(({ text }) => text)).toEqual(['moja', 'mbili', 'tatu', 'nne'])
})

test('a message is given again to its recipient, by number and by LID, and to our own devices, and to nobody else', async () => {
  const stranger = `${friend.slice(0, -6)}900000`
  await sandbox.client.addPhone({ phoneNumber: stranger })
  const message = session.message(friend, 'siri')
  expect((await session.open.send(message, 10_000)).kind).toBe('acked')
  const [linked] = (await sandbox.client.phone(business)).linkedDevices
  // Devices that came later than the message: none of them has it.
  const [theirs, ours, other] = await Promise.all([friend, business, stranger].map(linkDevice))
  const me = session.identities.at(-1)
  const device = /:(\d+)@/.exec(linked ?? '')?.[1]
  const numbered = `${business}:${device}@s.whatsapp.net`
  const byLid = `${me?.lid?.replace('@', `:${device}@`)}`
  const ask = async (client: BaileysClient, to: string, recipient?: string) => {
    const asked = session.retriesAnswered.length
    await client.sock.sendNode(retryReceipt(message.whatsappId, to, recipient))
    await waitFor('the question', () => session.retriesAnswered.length > asked)
  }
  const got = (client: BaileysClient) =>
    client.stanzas.filter(({ tag, attrs }) => tag === 'message' && attrs['id'] === message.whatsappId)
  for (const to of [numbered, byLid]) await ask(other!, to)
  for (const [index, to] of [numbered, byLid].entries()) {
    await ask(theirs!, to)
    await waitFor('an answer for the recipient', () => got(theirs!).length === index + 1)
  }
  await ask(ours!, numbered, `${friend}@s.whatsapp.net`)
  await waitFor('an answer for our own device', () => got(ours!).length === 1)
  // Questions are answered one after the other, and the stranger's came first.
  expect(got(other!)).toEqual([])
  await Promise.all([theirs, ours, other].map((client) => client!.close()))
})

test('a device linked later gets what is sent from then on, however the chat is addressed', async () => {
  const { lid } = await sandbox.client.phone(friend)
  for (const to of [friend, `${lid}@lid`]) {
    expect((await session.open.send(session.message(to, 'kabla'), 10_000)).kind).toBe('acked')
  }
  const companion = new WhatsAppSession(sandbox.url)
  await companion.pair(sandbox, friend)
  for (const to of [friend, `${lid}@lid`]) {
    expect((await session.open.send(session.message(to, 'baada'), 10_000)).kind).toBe('acked')
  }
  await waitFor(
    'both on the new device',
    () => companion.inbound.filter(({ content }) => JSON.stringify(content).includes('baada')).length === 2,
  )
  await companion.close()
})

test('when our own account gets another device, its list is asked for anew', async () => {
  expect((await session.send(friend, 'kabla')).kind).toBe('acked')
  const known = () => session.caches.devices.get<unknown[]>(business)?.length
  const before = known() ?? 0
  expect(before).toBeGreaterThan(0)
  const sibling = new WhatsAppSession(sandbox.url)
  await sibling.pair(sandbox, business)
  await waitFor('the list to be forgotten', () => known() === undefined)
  expect((await session.send(friend, 'baada')).kind).toBe('acked')
  expect(known()).toBe(before + 1)
  expect(sibling.inbound).toEqual([])
  await sibling.close()
})

test('what we cannot decrypt is asked for again, and the socket lives on', async () => {
  await sandbox.client.sendFrom(friend, { to: business, text: 'kwanza' })
  const textsOf = () =>
    session.inbound.filter(({ fromPhoneNumber }) => fromPhoneNumber === friend).map(({ content }) => content['text'])
  await waitFor('the first', () => textsOf().length === 1)
  expect((await session.send(friend, 'jibu')).kind).toBe('acked')
  for (const key of session.credentials.entries.keys()) {
    if (key.startsWith('session.')) session.credentials.entries.delete(key)
  }
  session.caches.forgetKeys()
  await sandbox.client.sendFrom(friend, { to: business, text: 'pili' })
  await waitFor('the second, sent anew', () => textsOf().length === 2, 30_000)
  expect(session.open.isOpen).toBe(true)
  expect(textsOf()).toEqual([{ body: 'kwanza' }, { body: 'pili' }])
})

test('sending and receiving at once move the same ratchet one after the other', async () => {
  expect((await session.send(friend, 'kwanza')).kind).toBe('acked')
  const storing = Promise.withResolvers<void>()
  const arrived = Promise.withResolvers<void>()
  session.handlers = {
    inbound: async (message) => {
      arrived.resolve()
      await storing.promise
      session.inbound.push(message)
    },
  }
  await session.reconnect()
  await sandbox.client.sendFrom(friend, { to: business, text: 'njiani' })
  await arrived.promise
  const sending = session.send(friend, 'wakati huo huo')
  // The send has had its turn, as far as it gets one.
  expect(await session.open.ping(5_000)).toBe(true)
  storing.resolve()
  expect((await sending).kind).toBe('acked')
  session.handlers = {}
  for (const text of ['moja', 'mbili', 'tatu']) {
    expect((await session.send(friend, text)).kind).toBe('acked')
    await sandbox.client.sendFrom(friend, { to: business, text })
  }
  await waitFor('all on the phone', async () => (await shown()).length === 5)
  await waitFor('all here', () => session.inbound.filter(({ fromPhoneNumber }) => fromPhoneNumber === friend).length === 4)
  expect((await sandbox.client.phone(friend)).counts).toMatchObject({ decryptFailures: 0, duplicates: 0 })
  expect(session.retriesAnswered).toEqual([])
})

async function linkDevice(phoneNumber: string): Promise<BaileysClient> {
  const client = startBaileys(sandbox.url)
  const qr = await waitFor('a QR code', () => client.qr)
  await sandbox.client.scan(phoneNumber, qr)
  await waitFor('the device linked', () => client.isOpen)
  return client
}

function retryReceipt(id: string, to: string, recipient?: string): BinaryNode {
  const t = String(Math.floor(Date.now() / 1000))
  const attrs = { id, to, type: 'retry', ...(recipient === undefined ? {} : { recipient }) }
  const content: BinaryNode[] = [
    { tag: 'retry', attrs: { count: '1', id, t, v: '1' } },
    { tag: 'registration', attrs: {}, content: Buffer.alloc(4) },
  ]
  return { tag: 'receipt', attrs, content }
}
