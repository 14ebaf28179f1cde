// The QR code over HTTP while a holder shows one: as text and as picture, awaited, refused when paired, and secret.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { Redis } from 'ioredis'
import { writeLiveSession } from '../../src/sessions/live-session.ts'
import { serveCommands } from '../../src/sessions/session-command.ts'
import { leaseKey, workerKey } from '../../src/sessions/session-keys.ts'
import { makeKey, makeSession, startTestApi, type TestApi } from '../support/api.ts'
import { waitFor } from '../support/wait.ts'

const incarnation = 'test-worker'
const qr = 'https://wa.me/settings/linked_devices#2@ref,noise,identity,adv,1'
let api: TestApi
let redis: Redis
let session: { id: string; key: string }

beforeAll(async () => {
  api = await startTestApi()
  redis = new Redis({ path: api.redis.socketPath })
})
afterAll(async () => {
  redis.disconnect()
  await api.close()
})
beforeEach(async () => {
  session = await makeSession(api, { pairingPhoneNumber: '+254 700 000 001' })
})

/** What a session worker that holds it would have written. */
async function hold(epoch = 1): Promise<{ sessionId: string; incarnation: string; epoch: number }> {
  const holder = { sessionId: session.id, incarnation, epoch }
  await redis.set(workerKey(api.prefix, incarnation), '{}')
  await redis.hset(leaseKey(api.prefix, session.id), { owner: incarnation, epoch })
  await api.store.sessions.raiseEpoch(session.id, epoch)
  await writeLiveSession({ redis, prefix: api.prefix }, holder, { state: 'pairing' })
  return holder
}

const show = async (holder: Awaited<ReturnType<typeof hold>>, expiresAt: number) =>
  writeLiveSession({ redis, prefix: api.prefix }, holder, { qr: { qr, expiresAt } })

test('the code is given as text, PNG and SVG, under both paths', async () => {
  const expiresAt = Date.now() + 20_000
  await show(await hold(), expiresAt)
  const { key } = session
  const json = await api.call('GET', '/v1/qr', { key })
  expect(json.body).toEqual({ qr, expiresAt: new Date(expiresAt).toISOString() })
  expect(json.headers['cache-control']).toBe('no-store')
  const png = await fetch(`${api.url}/v1/sessions/${session.id}/qr`, {
    headers: { authorization: `Bearer ${key}`, accept: 'image/png' },
  })
  expect(png.headers.get('content-type')).toBe('image/png')
  const bytes = Buffer.from(await png.arrayBuffer())
  expect(bytes.subarray(1, 4).toString()).toBe('PNG')
  const svg = await api.call('GET', '/v1/qr', { key, headers: { accept: 'image/svg+xml' } })
  expect(svg.text).toMatch(/^<svg/)
  expect((await api.call('GET', '/v1/qr', { key, headers: { accept: '*/*' } })).body.qr).toBe(qr)
})

test('a request waits for the code and gets it when it is there', async () => {
  const waiting = api.call('GET', '/v1/qr', { key: session.key })
  await show(await hold(), Date.now() + 20_000)
  expect((await waiting).body.qr).toBe(qr)
})

test('a paired session has no code: 409 session_already_paired', async () => {
  const holder = await hold()
  await show(holder, Date.now() + 20_000)
  await api.store.sessions.update(
    session.id,
    1,
    { status: 'connected', network: 'sandbox', phoneNumber: '254700000001' },
    () => [],
  )
  expect((await api.call('GET', '/v1/qr', { key: session.key })).body.code).toBe('session_already_paired')
  expect((await api.call('POST', '/v1/pairing-code', { key: session.key })).body.code).toBe('session_already_paired')
})

test('nobody is made to wait for a session that is not to be paired', async () => {
  await api.call('POST', `/v1/sessions/${session.id}/disconnect`, { key: session.key })
  const answer = await api.call('GET', '/v1/qr', { key: session.key })
  expect(answer.body.code).toBe('qr_not_ready')
  expect(answer.headers['retry-after']).toBe('5')
})

test('the code needs the scope manage, and is in no log', async () => {
  await show(await hold(), Date.now() + 20_000)
  const reader = await makeKey(api, session, ['read', 'send'])
  expect((await api.call('GET', '/v1/qr', { key: reader })).body.code).toBe('missing_scope')
  await api.call('GET', '/v1/qr', { key: session.key })
  expect(api.logged()).not.toContain('2@ref')
})

test('the holder is asked for a pairing code, and for contacts', async () => {
  const holder = await hold()
  const asked: unknown[] = []
  const serving = async () =>
    serveCommands({ redis, prefix: api.prefix }, holder, {
      pairing_code: (args) => {
        asked.push(args)
        return Promise.resolve({ code: 'ABCD-EFGH', expiresAt: 1_800_000_000_000 })
      },
      contacts_check: ({ phoneNumbers }) =>
        Promise.resolve(phoneNumbers.map((phoneNumber) => ({ phoneNumber, exists: true, lid: null }))),
    })
  const code = api.call('POST', '/v1/pairing-code', { key: session.key, json: { phoneNumber: '+254 711-111 111' } })
  await waitFor('the command was served', async () => (await serving()) > 0)
  expect((await code).body).toEqual({ code: 'ABCD-EFGH', expiresAt: '2027-01-15T08:00:00.000Z' })
  expect(asked).toEqual([{ phoneNumber: '254711111111' }])

  await writeLiveSession({ redis, prefix: api.prefix }, holder, { state: 'connected' })
  const check = api.call('POST', '/v1/contacts/check', { key: session.key, json: { phoneNumbers: ['+254 712 345 678'] } })
  await waitFor('the command was served', async () => (await serving()) > 0)
  expect((await check).body).toEqual([{ phoneNumber: '254712345678', exists: true, lid: null }])
})
