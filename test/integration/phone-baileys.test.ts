// Phones of the sandbox and an unmodified Baileys client, over real sockets: linking, messages, receipts, healing.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SandboxProblem, type SandboxClient } from '../../scripts/support/sandbox-client.ts'
import { startBaileys, type BaileysClient } from '../support/baileys.ts'
import { startTestSandbox, type TestSandbox } from '../support/sandbox.ts'
import { waitFor } from '../support/wait.ts'

const shop = '254711000001'
const asha = '254711000002'
const jid = (phoneNumber: string) => `${phoneNumber}@s.whatsapp.net`
let sandbox: TestSandbox
let phones: SandboxClient
let clients: BaileysClient[]

beforeEach(async () => {
  sandbox = await startTestSandbox()
  phones = sandbox.client
  clients = []
  await phones.addPhone({ phoneNumber: `+${shop}`, name: 'Shop' })
  await phones.addPhone({ phoneNumber: asha, name: 'Asha' })
})

afterEach(async () => {
  for (const client of clients) await client.close()
  await sandbox.close()
})

function start(): BaileysClient {
  const client = startBaileys(sandbox.url)
  clients.push(client)
  return client
}

async function paired(): Promise<BaileysClient> {
  const client = start()
  await phones.scan(shop, await waitFor('a QR code', () => client.qr))
  await waitFor('the connection', () => client.isOpen)
  return client
}

const shown = (phoneNumber: string, count: number) =>
  waitFor(`${count} messages on ${phoneNumber}`, async () => {
    const messages = await phones.messages(phoneNumber)
    return messages.length >= count && messages
  })

/** The client stages the code without saying when it is done. */
const refusalOf = async (code: string) => {
  const error: unknown = await phones.enterCode(shop, code).catch((refused: unknown) => refused)
  return error instanceof SandboxProblem && error.code !== 'code_unknown' && error
}

const receiptOf = (client: BaileysClient, id: string, type: string | undefined) =>
  waitFor(`receipt ${type ?? 'delivered'}`, () =>
    client.stanzas.find(
      ({ tag, attrs }) => tag === 'receipt' && attrs['id'] === id && attrs['type'] === type && attrs['from'] === jid(asha),
    ),
  )

describe('linking', () => {
  it('by QR code makes the client a device of the account', async () => {
    const client = await paired()
    expect(client.creds.me).toMatchObject({ id: `${shop}:1@s.whatsapp.net`, lid: expect.stringMatching(/:1@lid$/) as string })
    expect(client.creds.account?.deviceSignature?.length ?? 0).toBe(64)
    expect(await phones.phone(shop)).toMatchObject({ linkedDevices: [`${shop}:1@s.whatsapp.net`] })
  })

  it('by code works with the right code, typed as people type it, and fails with a wrong one', async () => {
    const client = start()
    await waitFor('the first QR code', () => client.qr)
    const code = await client.sock.requestPairingCode(shop)
    const wrong = (code.startsWith('A') ? 'B' : 'A') + code.slice(1)
    const refused = await waitFor('the staged code', () => refusalOf(wrong))
    expect(refused).toMatchObject({ status: 422, code: 'wrong_code' })
    expect(client.isOpen).toBe(false)
    await phones.enterCode(shop, `${code.slice(0, 4).toLowerCase()}-${code.slice(4)}`)
    await waitFor('the connection', () => client.isOpen)
    expect(client.creds.me?.id).toBe(`${shop}:1@s.whatsapp.net`)
  })

  it('refuses what is no QR code, a QR code nobody shows, and one with foreign keys', async () => {
    await expect(phones.scan(shop, 'hello')).rejects.toMatchObject({ status: 400, code: 'qr_malformed' })
    const client = start()
    const qr = await waitFor('a QR code', () => client.qr)
    const [ref = '', noise = '', , adv = '', platform = ''] = qr.split(',')
    await expect(phones.scan(shop, ['x', noise, noise, adv].join(','))).rejects.toMatchObject({ code: 'qr_unknown' })
    await expect(phones.scan(shop, [ref, noise, noise, adv, platform].join(','))).rejects.toMatchObject({ code: 'qr_mismatch' })
    await expect(phones.enterCode(shop, 'ABCDEFGH')).rejects.toMatchObject({ code: 'code_unknown' })
    await phones.scan(shop, qr)
    await waitFor('the connection', () => client.isOpen)
  })

  it('ends when the person removes the device', async () => {
    const client = await paired()
    expect(await phones.unlink(shop)).toMatchObject({ unlinked: [`${shop}:1@s.whatsapp.net`] })
    await waitFor('401', () => client.closes.includes(401))
    await expect(phones.unlink(shop)).rejects.toMatchObject({ status: 404, code: 'device_not_found' })
  })
})

describe('messages', () => {
  it('reach the recipient and the own phone, and come back as delivered and read', async () => {
    const client = await paired()
    const { id } = await client.sendText(jid(asha), 'Your order is ready #1')
    expect(await shown(asha, 1)).toMatchObject([
      { id, from: shop, text: 'Your order is ready #1', type: 'text', order: 1, fromMe: false },
    ])
    expect(await shown(shop, 1)).toMatchObject([{ id, from: shop, chat: asha, fromMe: true, text: 'Your order is ready #1' }])
    await receiptOf(client, id, undefined)
    await phones.read(asha, id)
    await receiptOf(client, id, 'read')
    expect(await phones.stats()).toMatchObject({ frames: 1, acks: 1, duplicates: 0, orderViolations: 0, decryptFailures: 0 })
  })

  it('from a phone reach the client, in either addressing, and the phone learns that they arrived', async () => {
    const client = await paired()
    const first = await phones.sendFrom(asha, { to: shop, text: 'Is it open today?' })
    const { lid } = await phones.phone(shop)
    await phones.sendFrom(asha, { to: `${lid}@lid`, text: 'Hello?' })
    await waitFor('both messages', () => client.texts().length === 2)
    expect(client.texts()).toEqual(['Is it open today?', 'Hello?'])
    expect(client.received.map(({ key }) => key.remoteJid)).toEqual([jid(asha), `${(await phones.phone(asha)).lid}@lid`])
    await waitFor('delivery', async () => (await phones.messages(asha)).find(({ id }) => id === first.id)?.status === 'delivered')
  })

  it('written on the own phone reach the client as its own', async () => {
    const client = await paired()
    await phones.sendFrom(shop, { to: asha, text: 'From the phone' })
    await waitFor('the copy', () => client.texts().includes('From the phone'))
    expect(client.received[0]?.key).toMatchObject({ fromMe: true, remoteJid: jid(asha) })
  })

  it('are read and answered by themselves when the person wants it', async () => {
    const client = await paired()
    await phones.changePhone(asha, { autoRead: true, autoReply: 'Thanks for “{text}”' })
    const { id } = await client.sendText(jid(asha), 'We are open')
    await receiptOf(client, id, 'read')
    await waitFor('the answer', () => client.texts().length > 0)
    expect(client.texts()).toEqual(['Thanks for “We are open”'])
  })

  it('sent again under the same id are shown once and counted', async () => {
    const client = await paired()
    await client.sendText(jid(asha), 'Only once', 'AGAIN0001')
    client.stanzas.length = 0
    await client.sendText(jid(asha), 'Only once', 'AGAIN0001')
    await waitFor('the duplicate', async () => (await phones.messages(asha))[0]?.duplicatesSeen === 1)
    expect(await phones.messages(asha)).toHaveLength(1)
    expect((await phones.phone(asha)).counts).toMatchObject({ frames: 2, distinctIds: 1, duplicates: 1 })
  })
})

it('a device whose account never signed for it is not believed', async () => {
  const client = await paired()
  const { account } = client.creds
  if (!account) throw new Error('the client is not paired')
  client.creds.account = { ...account, deviceSignature: Buffer.alloc(64, 1) }
  await client.sendText(jid(asha), 'I am the shop, believe me')
  await waitFor('the refusal', async () => (await phones.stats()).decryptFailures > 0)
  expect(await phones.messages(asha)).toEqual([])
  expect(await phones.messages(shop)).toEqual([])
})

describe('a group', () => {
  it('is read by its members, and the sender learns who has read it', async () => {
    const client = await paired()
    const baraka = '254711000003'
    await phones.addPhone({ phoneNumber: baraka, name: 'Baraka' })
    const group = await client.sock.groupCreate('Market day', [jid(asha), jid(baraka)])
    await client.sendText(group.id, 'Who comes? #1')
    await client.sendText(group.id, 'Nobody? #2')
    for (const member of [asha, baraka, shop]) {
      const texts = (await shown(member, 2)).map(({ chat, from, text }) => [chat, from, text])
      expect(texts).toEqual([
        [group.id, shop, 'Who comes? #1'],
        [group.id, shop, 'Nobody? #2'],
      ])
    }
    const { id } = (await phones.messages(asha))[1] ?? { id: '' }
    await phones.read(asha, id)
    await waitFor('the receipt of one member', () =>
      client.stanzas.some(({ tag, attrs }) => tag === 'receipt' && attrs['type'] === 'read' && attrs['from'] === group.id),
    )
    expect((await phones.stats()).decryptFailures).toBe(0)
  })
})

describe('a damaged session', () => {
  it('of the client heals when a phone cannot read it', async () => {
    const client = await paired()
    await client.sendText(jid(asha), 'one #1')
    await phones.sendFrom(asha, { to: shop, text: 'hi' })
    await waitFor('the answer', () => client.texts().includes('hi'))
    const stale = structuredClone(client.keys['session'])
    await client.sendText(jid(asha), 'two #2')
    await client.sendText(jid(asha), 'three #3')
    await shown(asha, 4)
    // what a crash between the write to the socket and the write of the keys leaves behind
    client.keys['session'] = stale ?? new Map()
    await client.sendText(jid(asha), 'four #4')
    await client.sendText(jid(asha), 'five #5')
    const messages = (await shown(asha, 6)).filter(({ fromMe }) => !fromMe)
    expect(messages.map(({ text }) => text)).toEqual(['one #1', 'two #2', 'three #3', 'four #4', 'five #5'])
    expect((await phones.stats()).decryptFailures).toBeGreaterThan(0)
    expect(await phones.phone(asha)).toMatchObject({ waiting: 0, counts: { orderViolations: 0 } })
  })

  it('of the client heals when the client cannot read a phone', async () => {
    const client = await paired()
    await phones.sendFrom(asha, { to: shop, text: 'before' })
    await waitFor('the first message', () => client.texts().includes('before'))
    client.keys['session']?.clear()
    await client.sendText(jid(asha), 'a new session')
    await shown(asha, 2)
    client.keys['session']?.clear()
    await phones.sendFrom(asha, { to: shop, text: 'after' })
    await waitFor('the healed message', () => client.texts().includes('after'))
    expect(client.texts().filter((text) => text === 'after')).toHaveLength(1)
    const answers = client.stanzas.filter(({ tag, content }) => tag === 'message' && isRetryAnswer(content))
    expect(answers).toHaveLength(1)
  })
})

function isRetryAnswer(content: BinaryNode['content']): boolean {
  return Array.isArray(content) && content.some(({ tag, attrs }) => tag === 'enc' && attrs['count'] !== undefined)
}
