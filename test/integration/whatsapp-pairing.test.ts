// Pairing, login, leaving: the client against the sandbox's server and phones.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { SandboxProblem } from '../../scripts/support/sandbox-client.ts'
import { hasCode } from '../../src/platform/errors.ts'
import { startTestSandbox, type TestSandbox } from '../support/sandbox.ts'
import { waitFor } from '../support/wait.ts'
import { WhatsAppSession } from '../support/whatsapp-session.ts'

const business = '254700000001'
const friend = '254700000002'

let sandbox: TestSandbox
let session: WhatsAppSession
beforeAll(async () => {
  sandbox = await startTestSandbox()
})
afterAll(() => sandbox.close())
beforeEach(async () => {
  await sandbox.client.addPhone({ phoneNumber: business, name: 'Duka' })
  await sandbox.client.addPhone({ phoneNumber: friend, name: 'Amina', autoRead: true })
  session = new WhatsAppSession(sandbox.url)
})
afterEach(async () => {
  await session.close()
  await sandbox.client.reset()
})

test('a scanned QR pairs, closes with restart_required and logs in with the same credentials', async () => {
  session.connect()
  const qr = await waitFor('a QR', () => session.qrs[0])
  expect(qr).toMatch(/^https:\/\/wa\.me\//)
  await sandbox.client.scan(business, qr)
  const client = await session.waitOpen()
  expect(session.log.slice(0, 3)).toEqual(['paired', 'closed restart_required', 'open'])
  expect(session.closes[0]).toMatchObject({ code: 515, action: 'restart' })
  expect(session.identities[1]).toMatchObject({ phoneNumber: business, lid: expect.stringMatching(/^\d+@lid$/) })
  expect(await client.ping(5_000)).toBe(true)
  expect(session.trafficCount).toBeGreaterThan(3)
})

test('a pairing code, asked for at once, waits for the first QR and then pairs', async () => {
  const code = await session.connect().requestPairingCode(business)
  expect(code).toMatch(/^[1-9A-Z]{8}$/)
  expect(session.qrs).toHaveLength(1)
  await sandbox.client.enterCode(business, code)
  await session.waitOpen()
  expect(session.identities.at(-1)?.phoneNumber).toBe(business)
})

test('a wrong code fails and the right one still pairs', async () => {
  const code = await session.connect().requestPairingCode(business)
  const wrong = code.startsWith('1') ? `2${code.slice(1)}` : `1${code.slice(1)}`
  await expect(sandbox.client.enterCode(business, wrong)).rejects.toBeInstanceOf(SandboxProblem)
  expect(session.log).toEqual([])
  await session.close()
  const again = await session.connect().requestPairingCode(business)
  await sandbox.client.enterCode(business, again)
  await session.waitOpen()
})

test('an abandoned pairing code leaves nothing behind that could poison the next start', async () => {
  await session.connect().requestPairingCode(business)
  await session.close()
  expect([...session.credentials.entries.keys()]).toEqual([])
  await session.pair(sandbox, friend)
  expect(session.identities.at(-1)?.phoneNumber).toBe(friend)
})

test('a half-made pairing that was stored all the same is erased at the next start', async () => {
  const me = { id: `${business}@s.whatsapp.net`, name: '~' }
  await session.credentials.write([{ type: 'creds', id: '', value: Buffer.from(JSON.stringify({ me, registered: false })) }])
  await session.pair(sandbox, business)
  expect(session.credentials.eraseCount).toBe(1)
})

test('a code is refused with a clear error when the session is not waiting to be paired', async () => {
  const client = await session.pair(sandbox, business)
  await expect(client.requestPairingCode(business)).rejects.toSatisfy((error) => hasCode(error, 'session_not_connected'))
  await client.close()
  await expect(client.requestPairingCode(business)).rejects.toSatisfy((error) => hasCode(error, 'session_not_connected'))
})

test('a device removed on the phone is a logout, told apart from one refused at the next login', async () => {
  await session.pair(sandbox, business)
  const left = session.credentials.snapshot()
  await sandbox.client.unlink(business)
  expect(await session.waitClosed(2)).toMatchObject({ code: 401, reason: 'device_removed', action: 'logged_out' })
  session.credentials = left
  session.connect()
  expect(await session.waitClosed(3)).toMatchObject({ code: 401, reason: 'login_refused', action: 'logged_out' })
})

test('logout tells WhatsApp, which forgets the device, and counts as our own doing', async () => {
  const client = await session.pair(sandbox, business)
  await client.logout(5_000)
  expect(session.closes.at(-1)).toMatchObject({ reason: 'closed_by_us', action: 'none' })
  expect((await sandbox.client.phone(business)).linkedDevices).toEqual([])
})

test('a second socket of the same device replaces the first', async () => {
  await session.pair(sandbox, business)
  const other = new WhatsAppSession(sandbox.url)
  other.credentials = session.credentials.snapshot()
  other.connect()
  await other.waitOpen()
  expect(await session.waitClosed(2)).toMatchObject({ code: 440, reason: 'replaced_elsewhere', action: 'conflict' })
  await other.close()
})

test('nothing listening, refused connections and server errors are nobody’s logout', async () => {
  await session.pair(sandbox, business)
  await sandbox.client.fault({ kind: 'stream_error', code: 503 })
  expect(await session.waitClosed(2)).toMatchObject({ code: 503, reason: 'service_unavailable', action: 'retry_slowly' })
  await sandbox.client.fault({ kind: 'refuse_connections' })
  session.connect()
  expect(await session.waitClosed(3)).toMatchObject({ action: 'retry', isNetwork: true })
  await sandbox.client.clearFaults()
  const deaf = new WhatsAppSession('ws://127.0.0.1:1/ws/chat')
  deaf.connect()
  expect(await deaf.waitClosed()).toMatchObject({ code: 408, reason: 'unreachable', isNetwork: true })
  session.log.length = 0
  session.connect()
  await session.waitOpen()
})

test.each(['close', 'reset'] as const)(
  'a connection that ends by %s is reported once and the next one logs in again',
  async (kind) => {
    await session.pair(sandbox, business)
    const { client } = session
    await sandbox.client.fault({ kind })
    expect(await session.waitClosed(2)).toMatchObject({ action: 'retry', isNetwork: true })
    await Promise.all([client?.close(), client?.close()])
    expect(session.closes).toHaveLength(2)
    session.log.length = 0
    session.connect()
    await session.waitOpen()
    expect(await waitFor('a ping', () => session.open.ping(5_000))).toBe(true)
  },
)

test('close is bounded although the server has gone silent, and tells its cause once', async () => {
  const client = await session.pair(sandbox, business)
  await sandbox.client.fault({ kind: 'stall' })
  const startedAt = performance.now()
  await Promise.all([client.close(), client.close()])
  expect(performance.now() - startedAt).toBeLessThan(10_000)
  expect(session.closes.map(({ reason }) => reason)).toEqual(['restart_required', 'closed_by_us'])
  expect(client.isOpen).toBe(false)
  expect(await client.ping(100)).toBe(false)
})

test('logout is bounded as well', async () => {
  const client = await session.pair(sandbox, business)
  await sandbox.client.fault({ kind: 'stall' })
  const startedAt = performance.now()
  await client.logout(300)
  expect(performance.now() - startedAt).toBeLessThan(10_000)
  expect(session.closes.at(-1)).toMatchObject({ reason: 'closed_by_us' })
})
