// Every fault the sandbox can make, seen from an unmodified Baileys client.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SandboxClient } from '../../scripts/support/sandbox-client.ts'
import { startBaileys, type BaileysClient } from '../support/baileys.ts'
import { startTestSandbox, type TestSandbox } from '../support/sandbox.ts'
import { waitFor } from '../support/wait.ts'

const shop = '254711000001'
const asha = '254711000002'
const juma = '254711000003'
const jid = (phoneNumber: string) => `${phoneNumber}@s.whatsapp.net`
let sandbox: TestSandbox
let phones: SandboxClient
let client: BaileysClient

beforeEach(async () => {
  sandbox = await startTestSandbox()
  phones = sandbox.client
  for (const phoneNumber of [shop, asha, juma]) await phones.addPhone({ phoneNumber })
  client = startBaileys(sandbox.url)
  await phones.scan(shop, await waitFor('a QR code', () => client.qr))
  await waitFor('the connection', () => client.isOpen)
  client.closes.length = 0
})

afterEach(async () => {
  await client.close()
  await sandbox.close()
})

const ping = () =>
  client.sock.query({
    tag: 'iq',
    attrs: { to: '@s.whatsapp.net', type: 'get', xmlns: 'w:p' },
    content: [{ tag: 'ping', attrs: {} }],
  })
const closeCode = () => waitFor('a close', () => client.closes[0])
const shownBy = async (phoneNumber: string) => (await phones.messages(phoneNumber)).filter(({ fromMe }) => !fromMe)
const acks = (id: string) => client.stanzas.filter(({ tag, attrs }) => tag === 'ack' && attrs['id'] === id)

describe('a fault', () => {
  it('`close` closes the socket', async () => {
    expect(await phones.fault({ kind: 'close' })).toMatchObject({ sockets: 1 })
    expect(await closeCode()).toBe(428)
  })

  it('`reset` cuts the connection', async () => {
    await phones.fault({ kind: 'reset' })
    expect(await closeCode()).toBe(428)
    await waitFor('no sockets', async () => (await phones.stats()).socketsOpen === 0)
  })

  it.each([503, 500, 515])('`stream_error` ends the stream with %i', async (code) => {
    await phones.fault({ kind: 'stream_error', code })
    expect(await closeCode()).toBe(code)
  })

  it('`conflict` ends the stream as replaced', async () => {
    await phones.fault({ kind: 'conflict' })
    expect(await closeCode()).toBe(440)
  })

  it('`stall` answers nothing and stays connected, and goes on when it ends', async () => {
    await phones.fault({ kind: 'stall' })
    let isAnswered = false
    const answer = ping().then((node: unknown) => {
      isAnswered = true
      return node
    })
    await phones.sendFrom(asha, { to: shop, text: 'held back' })
    expect((await phones.stats()).socketsOpen).toBe(1)
    expect(isAnswered).toBe(false)
    expect(client.texts()).toEqual([])
    await phones.clearFaults()
    expect(await answer).toMatchObject({ attrs: { type: 'result' } })
    await waitFor('the message', () => client.texts().includes('held back'))
    expect(client.closes).toEqual([])
  })

  it('`stall` holds new connections as well', async () => {
    // First the end: on a stalled connection the client would wait half a minute for the other side's farewell.
    await client.sock.end(undefined)
    client.closes.length = 0
    await phones.fault({ kind: 'stall', sessions: [shop] })
    client.connect()
    await waitFor('the login', async () => (await phones.stats()).logins === 2)
    await phones.sendFrom(asha, { to: shop, text: 'held back' })
    expect(client.isOpen).toBe(false)
    await phones.clearFaults()
    await waitFor('the connection', () => client.isOpen)
  })

  it('`latency` makes every answer late, in order', async () => {
    await phones.fault({ kind: 'latency', ms: 120, jitterMs: 60 })
    const order: number[] = []
    const startedAt = performance.now()
    await Promise.all([1, 2, 3, 4].map((index) => ping().then(() => order.push(index))))
    expect(performance.now() - startedAt).toBeGreaterThan(55)
    expect(order).toEqual([1, 2, 3, 4])
  })

  it('`drop_acks` delivers and says nothing; sent again with its id the message is shown once', async () => {
    await phones.fault({ kind: 'drop_acks', sessions: [shop] })
    const id = '3EB0AAAAAAAAAAAAAAAAAA'
    await client.sock.sendMessage(jid(asha), { text: 'silent' }, { messageId: id })
    await waitFor('the message', async () => (await shownBy(asha)).length === 1)
    await ping()
    expect(acks(id).filter(({ attrs }) => attrs['class'] === 'message')).toEqual([])
    await phones.clearFaults()
    await client.sendText(jid(asha), 'silent', id)
    const shown = await waitFor('the repetition', async () => {
      const messages = await shownBy(asha)
      return (messages[0]?.duplicatesSeen ?? 0) > 0 && messages
    })
    expect(shown).toHaveLength(1)
    expect((await phones.phone(asha)).counts).toMatchObject({ frames: 2, distinctIds: 1, duplicates: 1 })
    expect(await phones.stats()).toMatchObject({ frames: 2, acks: 1 })
    const frames = (await phones.frames()).filter((frame) => frame.id === id)
    expect(frames.map(({ phoneNumber, outcome }) => [phoneNumber, outcome])).toEqual([
      [shop, 'unacked'],
      [shop, 'taken'],
    ])
    expect(await phones.frames(frames[0]?.order)).toEqual([frames[1]])
  })

  it('`ack_error` refuses messages with its number, as often as asked', async () => {
    await phones.fault({ kind: 'ack_error', code: 479, count: 1 })
    expect((await client.sendText(jid(asha), 'refused')).error).toBe('479')
    expect((await client.sendText(jid(asha), 'accepted')).error).toBeUndefined()
    const shown = await waitFor('the second', async () => {
      const messages = await shownBy(asha)
      return messages.length > 0 && messages
    })
    expect(shown.map(({ text }) => text)).toEqual(['accepted'])
  })

  it('`refuse_connections` lets nobody in until it ends', async () => {
    await phones.fault({ kind: 'refuse_connections' })
    await client.sock.end(undefined)
    client.closes.length = 0
    client.connect()
    expect(await closeCode()).toBe(408)
    await phones.clearFaults()
    client.connect()
    await waitFor('the connection', () => client.isOpen)
  })

  it('`refuse_connections` for one session refuses that one', async () => {
    await phones.fault({ kind: 'refuse_connections', sessions: [shop] })
    await client.sock.end(undefined)
    client.closes.length = 0
    client.connect()
    await closeCode()
    expect((await phones.stats()).logins).toBe(1)
  })

  it.each([402, 403, 405, 503])('`login_failure` refuses the next login with %i', async (code) => {
    await phones.fault({ kind: 'login_failure', code, count: 1 })
    await client.sock.end(undefined)
    client.closes.length = 0
    client.connect()
    expect(await closeCode()).toBe(code)
    client.connect()
    await waitFor('the next login', () => client.isOpen)
  })

  it('`restrict` refuses new contacts with 463, and answers to those who wrote stay possible', async () => {
    await phones.sendFrom(asha, { to: shop, text: 'I wrote first' })
    await waitFor('the message', () => client.texts().length === 1)
    await phones.fault({ kind: 'restrict', until: new Date(Date.now() + 3_600_000).toISOString() })
    expect((await client.sendText(jid(juma), 'hello stranger')).error).toBe('463')
    expect((await client.sendText(jid(asha), 'hello again')).error).toBeUndefined()
    await phones.clearFaults()
    expect((await client.sendText(jid(juma), 'hello at last')).error).toBeUndefined()
  })

  it('`undecryptable` makes a phone ask for the next message once more, and shows it once', async () => {
    await phones.sendFrom(asha, { to: shop, text: 'I wrote first' })
    await waitFor('the message', () => client.texts().length === 1)
    await phones.fault({ kind: 'undecryptable', count: 1, sessions: [shop] })
    const texts = ['asked for again', 'not asked for']
    for (const text of texts) expect((await client.sendText(jid(asha), text)).error).toBeUndefined()
    const shown = async () => (await shownBy(asha)).filter(({ fromMe }) => !fromMe).map(({ text }) => text)
    await waitFor('both', async () => (await shown()).length === 2)
    expect(await shown()).toEqual(texts)
    expect((await phones.phone(asha)).counts.decryptFailures).toBeGreaterThan(0)
    const frames = await phones.frames()
    expect(frames).toHaveLength(3)
    expect(new Set(frames.map(({ socket }) => socket)).size).toBe(1)
  })

  it('for another session leaves this one alone', async () => {
    for (const kind of ['close', 'reset', 'conflict', 'stall', 'drop_acks'] as const) {
      expect(await phones.fault({ kind, sessions: [juma] })).toMatchObject({ sockets: 0 })
    }
    expect((await client.sendText(jid(asha), 'untouched')).error).toBeUndefined()
    expect(client.closes).toEqual([])
  })
})
