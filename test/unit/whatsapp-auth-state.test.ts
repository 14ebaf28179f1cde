// Baileys' credentials over the port: what is written when, what is read again, and what happens when the store says no.
import { initAuthCreds, proto, type AuthenticationCreds } from '@whiskeysockets/baileys'
import { expect, test } from 'vitest'
import { openAuthState, type AuthState } from '../../src/whatsapp/auth-state.ts'
import { createSessionCaches, type SessionCaches } from '../../src/whatsapp/session-caches.ts'
import { MemoryCredentials } from '../support/memory-credentials.ts'

interface Rig {
  credentials: MemoryCredentials
  caches: SessionCaches
  failures: unknown[]
  auth: AuthState
}

async function open(credentials = new MemoryCredentials(), caches = createSessionCaches()): Promise<Rig> {
  const failures: unknown[] = []
  const auth = await openAuthState({ credentials, caches, onWriteFailed: (error) => failures.push(error) })
  return { credentials, caches, failures, auth }
}

function pair(creds: AuthenticationCreds): void {
  creds.me = { id: '254700000001:3@s.whatsapp.net', lid: '9001:3@lid', name: 'Duka' }
  creds.account = { details: Buffer.from('details'), accountSignature: Buffer.from('signature') }
}

const session = (counter: number) => ({ _sessions: { key: { counter, _chains: { '0': { '1': 'b64=' } } } }, version: 'v1' })

test('creds come back as they were, keys and all, once the pairing is complete', async () => {
  const { auth, credentials } = await open()
  auth.credsChanged()
  await auth.flush()
  expect(credentials.writes).toEqual([])
  pair(auth.state.creds)
  auth.credsChanged()
  await auth.flush()
  const again = await open(credentials)
  expect(again.auth.isPaired).toBe(true)
  expect(again.auth.state.creds).toEqual(auth.state.creds)
  expect(Buffer.isBuffer(again.auth.state.creds.noiseKey.private)).toBe(true)
})

test('creds without an account are a pairing that never ended: erased, and a new one begins', async () => {
  const credentials = new MemoryCredentials()
  const halfMade = { ...initAuthCreds(), me: { id: '254700000001@s.whatsapp.net', name: '~' }, pairingCode: 'ABCDEFGH' }
  await credentials.write([{ type: 'creds', id: '', value: Buffer.from(JSON.stringify(halfMade)) }])
  const { auth } = await open(credentials)
  expect(auth.state.creds.me).toBeUndefined()
  expect(auth.state.creds.pairingCode).toBeUndefined()
  expect(credentials.eraseCount).toBe(1)
})

test('one set is one write, and many of one turn go together with the creds of that turn', async () => {
  const { auth, credentials } = await open()
  pair(auth.state.creds)
  await auth.state.keys.set({
    session: { 'a.0': session(1) as never, 'b.0': session(1) as never },
    'identity-key': { 'a.0': Buffer.from('i') },
  })
  expect(credentials.writes.map((entries) => entries.length)).toEqual([3])
  auth.credsChanged()
  auth.credsChanged()
  await Promise.all([
    auth.state.keys.set({ session: { 'a.0': session(2) as never } }),
    auth.state.keys.set({ session: { 'b.0': session(2) as never } }),
  ])
  expect(credentials.writes[1]?.map(({ type }) => type)).toEqual(['session', 'session', 'creds'])
})

test('a set resolves only when it is stored, and later ones wait their turn in order', async () => {
  const { auth, credentials } = await open()
  const gate = Promise.withResolvers<void>()
  credentials.beforeWrite = () => gate.promise
  const order: number[] = []
  const write = async (counter: number) => {
    await auth.state.keys.set({ session: { 'a.0': session(counter) as never } })
    order.push(counter)
  }
  const first = write(1)
  await new Promise((resolve) => setImmediate(resolve))
  const second = write(2)
  await new Promise((resolve) => setImmediate(resolve))
  expect(order).toEqual([])
  gate.resolve()
  await Promise.all([first, second])
  expect(order).toEqual([1, 2])
  expect(await (await open(credentials)).auth.state.keys.get('session', ['a.0'])).toEqual({ 'a.0': session(2) })
})

test('a missing key is absent, a deleted one too, and neither is asked for twice', async () => {
  const { auth, credentials } = await open()
  await auth.state.keys.set({ 'lid-mapping': { '2547': '9001' } })
  await auth.state.keys.set({ 'lid-mapping': { '2547': null } })
  expect(credentials.entries.size).toBe(0)
  for (let i = 0; i < 3; i += 1) expect(await auth.state.keys.get('lid-mapping', ['2547', 'other'])).toEqual({})
  expect(credentials.readCount).toBe(1)
})

test('the caches outlive the socket: the next one reads nothing that the last one knew', async () => {
  const { auth, credentials, caches } = await open()
  await auth.state.keys.set({ session: { 'a.0': session(7) as never }, 'device-list': { '2547': ['0', '3'] } })
  const next = await open(credentials, caches)
  expect(await next.auth.state.keys.get('session', ['a.0'])).toEqual({ 'a.0': session(7) })
  expect(await next.auth.state.keys.get('device-list', ['2547'])).toEqual({ '2547': ['0', '3'] })
  expect(credentials.readCount).toBe(0)
})

test('a list that Baileys changes in place is not changed for others', async () => {
  const { auth } = await open()
  await auth.state.keys.set({ 'device-list': { '2547': ['0'] } })
  const { '2547': devices } = await auth.state.keys.get('device-list', ['2547'])
  devices?.push('9')
  expect(await auth.state.keys.get('device-list', ['2547'])).toEqual({ '2547': ['0'] })
})

test('one-time prekeys are kept out of the caches, and read while their write is still under way', async () => {
  const { auth, credentials, caches } = await open()
  const key = { public: Buffer.from('public'), private: Buffer.from('private') }
  const gate = Promise.withResolvers<void>()
  credentials.beforeWrite = () => gate.promise
  const writing = auth.state.keys.set({ 'pre-key': Object.fromEntries(Array.from({ length: 812 }, (_, i) => [i, key])) })
  expect(await auth.state.keys.get('pre-key', ['5'])).toEqual({ '5': key })
  gate.resolve()
  await writing
  expect(credentials.writes).toHaveLength(1)
  expect(await auth.state.keys.get('pre-key', ['5'])).toEqual({ '5': key })
  expect(caches.keys.size).toBe(0)
})

test('an app state key comes back as the protobuf Baileys expects', async () => {
  const { auth, credentials } = await open()
  const keyData = proto.Message.AppStateSyncKeyData.fromObject({ keyData: Buffer.from('k'), timestamp: 5 })
  await auth.state.keys.set({ 'app-state-sync-key': { AAAA: keyData } })
  const { AAAA } = await (await open(credentials)).auth.state.keys.get('app-state-sync-key', ['AAAA'])
  expect(Buffer.from(AAAA?.keyData ?? []).toString()).toBe('k')
  expect(AAAA).toBeInstanceOf(proto.Message.AppStateSyncKeyData)
})

test('a write that is refused is told once; nothing is written or remembered after it', async () => {
  const { auth, credentials, caches, failures } = await open()
  await auth.state.keys.set({ session: { 'a.0': session(1) as never } })
  credentials.isStale = true
  await expect(auth.state.keys.set({ session: { 'a.0': session(2) as never } })).rejects.toMatchObject({ code: 'stale_epoch' })
  await expect(auth.state.keys.set({ session: { 'a.0': session(3) as never } })).rejects.toMatchObject({ code: 'stale_epoch' })
  await expect(auth.flush()).rejects.toMatchObject({ code: 'stale_epoch' })
  expect(failures).toHaveLength(1)
  expect(caches.signalSessions.size).toBe(0)
  credentials.isStale = false
  auth.credsChanged()
  expect(credentials.writes).toHaveLength(1)
})

test('after the end a socket that lives on in the background can write nothing, not even into the caches', async () => {
  const { auth, credentials, caches, failures } = await open()
  await auth.state.keys.set({ session: { 'a.0': session(1) as never } })
  auth.seal()
  await expect(auth.state.keys.set({ session: { 'a.0': session(2) as never } })).rejects.toMatchObject({ code: 'socket_closed' })
  expect(caches.signalSessions.get('session.a.0')).toEqual(session(1))
  expect(credentials.writes).toHaveLength(1)
  expect(failures).toEqual([])
})
