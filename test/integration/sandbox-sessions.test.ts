// Sessions of an unmodified Baileys client on the sandbox: login, kick, logout, what waits for it, and the sandbox's restart.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startBaileys, type BaileysClient } from '../support/baileys.ts'
import { startTestSandbox, type TestSandbox } from '../support/sandbox.ts'
import { waitFor } from '../support/wait.ts'

const shop = '254711000001'
const asha = '254711000002'
const ashaJid = `${asha}@s.whatsapp.net`
let directory: string
let sandbox: TestSandbox
let client: BaileysClient

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ujumbe-sandbox-'))
  sandbox = await startTestSandbox({ dataDir: directory })
  await sandbox.client.addPhone({ phoneNumber: shop })
  await sandbox.client.addPhone({ phoneNumber: asha })
  client = startBaileys(sandbox.url)
  await sandbox.client.scan(shop, await waitFor('a QR code', () => client.qr))
  await waitFor('the connection', () => client.isOpen)
})

afterEach(async () => {
  await client.close()
  await sandbox.close()
  await rm(directory, { recursive: true, force: true })
})

const closedWith = (code: number) => waitFor(`a close with ${code}`, () => client.closes.includes(code))
const linked = async () => (await sandbox.client.phone(shop)).linkedDevices

describe('a session', () => {
  it('pairs, is restarted by 515, logs in once, and is answered when it pings', async () => {
    expect(client.closes).toEqual([515])
    expect(await sandbox.client.stats()).toMatchObject({ socketsOpen: 1, logins: 1 })
    const ping = { tag: 'iq', attrs: { to: '@s.whatsapp.net', type: 'get', xmlns: 'w:p' }, content: [{ tag: 'ping', attrs: {} }] }
    expect(await client.sock.query(ping)).toMatchObject({ tag: 'iq', attrs: { type: 'result', from: '@s.whatsapp.net' } })
  })

  it('brings 812 prekeys once and not again at the next login', async () => {
    await waitFor('the keys', () => (client.keys['pre-key']?.size ?? 0) >= 800)
    const count = async () => {
      const iq = {
        tag: 'iq',
        attrs: { to: '@s.whatsapp.net', type: 'get', xmlns: 'encrypt' },
        content: [{ tag: 'count', attrs: {} }],
      }
      const answer: unknown = await client.sock.query(iq)
      return Number((answer as { content: { attrs: { value: string } }[] }).content[0]?.attrs.value)
    }
    const before = await waitFor('the count', async () => (await count()) || undefined)
    expect(before).toBeGreaterThan(800)
    await client.sock.end(undefined)
    client.connect()
    await waitFor('the connection', () => client.isOpen)
    expect(await count()).toBeLessThanOrEqual(before)
  })

  it('that logs in again kicks its older socket with `conflict replaced`', async () => {
    const older = client.sock
    const kicked = new Promise((resolve) => {
      older.ev.on('connection.update', ({ connection, lastDisconnect }) => {
        const error = lastDisconnect?.error as { output?: { statusCode?: number } } | undefined
        if (connection === 'close') resolve(error?.output?.statusCode)
      })
    })
    client.connect()
    expect(await kicked).toBe(440)
    await waitFor('the newer login', async () => (await sandbox.client.stats()).logins === 2)
    expect((await client.sendText(ashaJid, 'from the newer one')).error).toBeUndefined()
  })

  it('is closed with 401 when its phone unlinks it, and refused with 401 when it was away', async () => {
    expect(await linked()).toEqual([`${shop}:1@s.whatsapp.net`])
    await sandbox.client.unlink(shop)
    await closedWith(401)
    expect(await linked()).toEqual([])
    client.closes.length = 0
    client.connect()
    await closedWith(401)
  })

  it('that logs itself out is gone from its phone', async () => {
    await client.sock.logout()
    await waitFor('the unlinking', async () => (await linked()).length === 0)
    expect((await sandbox.client.stats()).socketsOpen).toBeLessThanOrEqual(1)
  })

  it('gets what was written while it was away, once and in order', async () => {
    await client.sock.end(undefined)
    const sent = ['one', 'two', 'three']
    for (const text of sent) await sandbox.client.sendFrom(asha, { to: shop, text })
    client.connect()
    await waitFor('the messages', () => client.texts().length >= 3)
    expect(client.texts()).toEqual(sent)
    await waitFor('the delivery receipts', async () => {
      const messages = await sandbox.client.messages(asha)
      return messages.every(({ status }) => status === 'delivered')
    })
    await client.sock.end(undefined)
    client.connect()
    await waitFor('the connection', () => client.isOpen)
    expect((await client.sendText(ashaJid, 'a round trip')).error).toBeUndefined()
    expect(client.texts()).toEqual(sent)
  })

  it('outlives a restart of the sandbox, with what waited for it', async () => {
    await client.sendText(ashaJid, 'before')
    await client.sock.end(undefined)
    await sandbox.client.sendFrom(asha, { to: shop, text: 'while both were away' })
    const root = await sandbox.client.noiseRoot()
    const { port } = sandbox
    await sandbox.close()
    sandbox = await startTestSandbox({ dataDir: directory, port })
    expect(await sandbox.client.noiseRoot()).toEqual(root)
    client.connect()
    await waitFor('the message', () => client.texts().includes('while both were away'))
    expect((await client.sendText(ashaJid, 'after')).error).toBeUndefined()
    const shown = await waitFor('the second message', async () => {
      const messages = await sandbox.client.messages(asha, { chat: shop })
      return messages.some(({ text }) => text === 'after') && messages
    })
    expect(shown.filter(({ fromMe }) => !fromMe).map(({ text }) => text)).toEqual(['before', 'after'])
    expect(await linked()).toEqual([`${shop}:1@s.whatsapp.net`])
  })

  it('is forgotten by a reset', async () => {
    await sandbox.client.reset()
    await waitFor('the close', () => client.closes.some((code) => code !== 515))
    client.connect()
    await closedWith(401)
    expect(await sandbox.client.phones()).toEqual([])
  })
})
