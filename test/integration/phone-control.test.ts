// The control API from outside: its guard, its answers to bad input, and what reset and restart leave.
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startBaileys } from '../support/baileys.ts'
import { startTestSandbox, type TestSandbox } from '../support/sandbox.ts'
import { waitFor } from '../support/wait.ts'

let sandbox: TestSandbox
beforeEach(async () => {
  sandbox = await startTestSandbox()
})
afterEach(() => sandbox.close())

interface Answer {
  status: number
  type: string
  body: unknown
}

/** Not by fetch, which lets nobody choose Host or Origin. */
async function call(method: string, path: string, body?: string | Buffer, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(sandbox.controlUrl + path, { method, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const type = response.headers['content-type'] ?? ''
        resolve({ status: response.statusCode ?? 0, type, body: type.includes('json') ? JSON.parse(text) : text })
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const json = { 'content-type': 'application/json' }
const post = (path: string, body: unknown, headers = {}) => call('POST', path, JSON.stringify(body), { ...json, ...headers })

describe('the guard', () => {
  it('answers only to this machine’s own names', async () => {
    const port = String(sandbox.port)
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, '127.3.2.1']) {
      expect(await call('GET', '/stats', undefined, { host })).toMatchObject({ status: 200 })
    }
    for (const host of [
      'evil.example',
      `127.0.0.1.evil.example:${port}`,
      '10.0.0.1',
      'localhost.evil.example',
      '[::2]',
      'x@127.0.0.1',
    ]) {
      expect(await call('GET', '/stats', undefined, { host })).toMatchObject({ status: 403, body: { code: 'foreign_host' } })
    }
  })

  it('refuses other sites', async () => {
    const own = sandbox.controlUrl
    expect(await call('GET', '/stats', undefined, { origin: own })).toMatchObject({ status: 200 })
    for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1', own.replace('http:', 'https:')]) {
      expect(await call('POST', '/reset', undefined, { origin })).toMatchObject({ status: 403, body: { code: 'cross_origin' } })
    }
  })

  it('takes JSON only, of bounded size', async () => {
    const phone = JSON.stringify({ phoneNumber: '254711000001' })
    expect(await call('POST', '/phones', phone, { 'content-type': 'text/plain' })).toMatchObject({ status: 415 })
    expect(await call('POST', '/phones', phone)).toMatchObject({ status: 415 })
    expect(await call('POST', '/reset', 'a=b', { 'content-type': 'application/x-www-form-urlencoded' })).toMatchObject({
      status: 415,
    })
    expect(await call('POST', '/phones', '{', json)).toMatchObject({ status: 400, body: { code: 'malformed_json' } })
    expect(await call('POST', '/phones', Buffer.from([0x22, 0xff, 0x22]), json)).toMatchObject({ status: 400 })
    expect(await post('/phones', { phoneNumber: '1'.repeat(1_000_001) })).toMatchObject({ status: 413 })
    expect(await call('GET', '/phones')).toMatchObject({ body: [] })
  })

  it('says what it does not know as a problem', async () => {
    expect(await call('GET', '/nothing')).toMatchObject({ status: 404, type: 'application/problem+json', body: { status: 404 } })
    expect(await call('GET', '/phones/254711000009')).toMatchObject({ status: 404, body: { code: 'phone_not_found' } })
    expect(await call('PUT', '/phones')).toMatchObject({ status: 405, body: { code: 'method_not_allowed' } })
    expect(await call('GET', '/page/../control/router.ts')).toMatchObject({ status: 404 })
    expect(await call('GET', '/page/%2e%2e/device.ts')).toMatchObject({ status: 404 })
    expect(await call('GET', '/phones/%zz')).toMatchObject({ status: 404 })
    expect(await call('GET', '//evil.example/stats')).toMatchObject({ status: 404 })
  })
})

describe('phones', () => {
  it('are added once, under the number that is meant', async () => {
    expect(await post('/phones', { phoneNumber: '+254 711-000 001', name: ' Asha ' })).toMatchObject({
      status: 201,
      body: { phoneNumber: '254711000001', name: 'Asha', autoRead: false, autoReply: null, linkedDevices: [], unread: 0 },
    })
    expect(await post('/phones', { phoneNumber: '254711000001' })).toMatchObject({ status: 409, body: { code: 'phone_exists' } })
    const { lid } = await sandbox.client.phone('+254711000001')
    expect(lid).toMatch(/^\d{15}$/)
  })

  it('are refused with each fault named', async () => {
    for (const body of [
      {},
      [],
      null,
      'x',
      { phoneNumber: 254 },
      { phoneNumber: '12' },
      { phoneNumber: '254711000001', extra: 1 },
    ]) {
      expect(await post('/phones', body)).toMatchObject({ status: 400, body: { code: 'invalid_request', errors: [{}] } })
    }
  })

  it('send what they are told and nothing else', async () => {
    await sandbox.client.addPhone({ phoneNumber: '254711000001' })
    await sandbox.client.addPhone({ phoneNumber: '254711000002' })
    const to = '254711000002'
    const send = (body: unknown) => post('/phones/254711000001/messages', body)
    expect(await send({ to, text: 'hello' })).toMatchObject({ status: 201, body: { text: 'hello', chat: to, fromMe: true } })
    expect(await send({ to: '254711000009', text: 'x' })).toMatchObject({
      status: 404,
      body: { code: 'recipient_not_on_whatsapp' },
    })
    expect(await send({ to, reaction: { id: 'NONE', emoji: 'x' } })).toMatchObject({
      status: 404,
      body: { code: 'message_not_found' },
    })
    for (const body of [
      { to },
      { to, text: '' },
      { to, text: 'x', location: { latitude: 0, longitude: 0 } },
      { to: 'x@g.us', text: 'x' },
      { text: 'x' },
    ]) {
      expect(await send(body)).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
    }
    expect(await post('/phones/254711000002/read', { id: 'NONE' })).toMatchObject({ status: 404 })
    expect(await post('/phones/254711000002/read', { chat: '254711000001' })).toMatchObject({
      status: 200,
      body: { read: [expect.any(String)] },
    })
    expect(await call('GET', '/phones/254711000001/messages?limit=0')).toMatchObject({ status: 400 })
  })
})

it('faults are set, listed and cleared', async () => {
  expect(await post('/faults', { kind: 'latency', ms: 5 })).toMatchObject({ status: 200, body: { sockets: 0 } })
  expect(await call('GET', '/faults')).toMatchObject({ body: [{ kind: 'latency', ms: 5, jitterMs: 0, sessions: 'all' }] })
  expect(await post('/faults', { kind: 'earthquake' })).toMatchObject({ status: 400 })
  expect(await call('DELETE', '/faults')).toMatchObject({ status: 204 })
  expect(await call('GET', '/faults')).toMatchObject({ body: [] })
})

it('reset leaves an empty sandbox, and clients without an account', async () => {
  const { client } = sandbox
  await client.addPhone({ phoneNumber: '254711000001' })
  const baileys = startBaileys(sandbox.url)
  await client.scan('254711000001', await waitFor('a QR code', () => baileys.qr))
  await waitFor('the connection', () => baileys.isOpen)
  await client.reset()
  await waitFor('the end of the socket', () => baileys.closes.length > 1)
  expect(await client.phones()).toEqual([])
  expect(await client.stats()).toMatchObject({ logins: 0, frames: 0 })
  await client.addPhone({ phoneNumber: '254711000001' })
  expect(await client.phone('254711000001')).toMatchObject({ linkedDevices: [] })
  await baileys.close()
})

it.each([false, true])('a restart keeps phones, chats, sessions and links (own process: %s)', async (ownProcess) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'phone-restart-'))
  const start = () => startTestSandbox({ dataDir, process: ownProcess })
  let kept = await start()
  const root = await kept.client.noiseRoot()
  await kept.client.addPhone({ phoneNumber: '254711000001', name: 'Shop' })
  await kept.client.addPhone({ phoneNumber: '254711000002', name: 'Asha', autoRead: true })
  const first = startBaileys(kept.url)
  await kept.client.scan('254711000001', await waitFor('a QR code', () => first.qr))
  await waitFor('the connection', () => first.isOpen)
  await first.sendText('254711000002@s.whatsapp.net', 'before #1')
  await waitFor('the message', async () => (await kept.client.messages('254711000002')).length === 1)
  await first.close()
  await kept.client.sendFrom('254711000002', { to: '254711000001', text: 'while you were away' })
  await kept.close()

  kept = await start()
  expect(await kept.client.noiseRoot()).toEqual(root)
  expect(await kept.client.phone('254711000002')).toMatchObject({ name: 'Asha', autoRead: true })
  const second = startBaileys(kept.url, {}, first)
  await waitFor('the connection', () => second.isOpen)
  await waitFor('what had waited', () => second.texts().includes('while you were away'))
  await second.sendText('254711000002@s.whatsapp.net', 'after #2')
  await waitFor('the message', async () => (await kept.client.messages('254711000002')).length === 3)
  expect((await kept.client.messages('254711000002')).map(({ text }) => text)).toEqual([
    'before #1',
    'while you were away',
    'after #2',
  ])
  expect((await kept.client.stats()).decryptFailures).toBe(0)
  await second.close()
  await kept.close()
  await rm(dataDir, { recursive: true, force: true })
})
