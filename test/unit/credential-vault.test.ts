// The vault and the key ring: what is sealed opens where it belongs, nowhere else, and under rotated master keys.
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createCredentialVault } from '../../src/store/credential-vault.ts'
import { KeyRing, createKeyRing } from '../../src/store/key-ring.ts'
import { newSession } from '../support/records.ts'
import { openTestSqlite, type TestStore } from '../support/store.ts'

const log = pino({ level: 'silent' })
const masterKey = () => randomBytes(32)
const bytes = (text: string) => Buffer.from(text)
let dir: string
let t: TestStore

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'uj-vault-'))
  t = await openTestSqlite()
})
afterEach(async () => {
  await t.close()
  await rm(dir, { recursive: true, force: true })
})

async function heldSession(epoch = 1): Promise<string> {
  const input = newSession()
  await t.store.sessions.create(input, () => [])
  await t.store.sessions.raiseEpoch(input.session.id, epoch)
  return input.session.id
}
const vaultWith = (...keys: Buffer[]) =>
  createCredentialVault({ credentials: t.store.credentials, keyRing: new KeyRing(keys, log) })

test('credentials come back as they were written, and the store never sees them in plain', async () => {
  const id = await heldSession()
  const session = vaultWith(masterKey()).forSession(id, 1)
  expect(await session.readCreds()).toBeNull()
  await session.write([
    { type: 'creds', id: '', value: bytes('my noise key') },
    { type: 'pre-key', id: '1', value: bytes('one') },
  ])
  expect(Buffer.from((await session.readCreds()) ?? [])).toEqual(bytes('my noise key'))
  expect([...(await session.readKeys('pre-key', ['1', '2'])).keys()]).toEqual(['1'])
  const stored = await t.store.credentials.read(id, 'creds', [''])
  expect(Buffer.from(stored.get('') ?? []).includes('my noise key')).toBe(false)
  await session.write([{ type: 'pre-key', id: '1', value: null }])
  expect((await session.readKeys('pre-key', ['1'])).size).toBe(0)
})

test('an entry moved to another session, type or id does not open', async () => {
  const [a, b] = [await heldSession(), await heldSession()]
  const vault = vaultWith(masterKey())
  await vault.forSession(a, 1).write([{ type: 'session', id: 'x', value: bytes('secret') }])
  await vault.forSession(b, 1).write([{ type: 'session', id: 'y', value: bytes('other') }])
  const sealed = (await t.store.credentials.read(a, 'session', ['x'])).get('x') ?? null
  await t.store.credentials.write(b, 1, [{ type: 'session', id: 'x', value: sealed }], await dataKeyOf(b))
  await t.store.credentials.write(a, 1, [{ type: 'session', id: 'z', value: sealed }], await dataKeyOf(a))
  await t.store.credentials.write(a, 1, [{ type: 'pre-key', id: 'x', value: sealed }], await dataKeyOf(a))
  for (const [session, type, id] of [
    [b, 'session', 'x'],
    [a, 'session', 'z'],
    [a, 'pre-key', 'x'],
  ] as const) {
    await expect(vault.forSession(session, 1).readKeys(type, [id])).rejects.toMatchObject({ code: 'credentials_unreadable' })
  }
})

async function dataKeyOf(sessionId: string) {
  return (await t.store.credentials.readDataKey(sessionId)) ?? undefined
}

test('writes at the same moment on a new session share one data key', async () => {
  const id = await heldSession()
  const vault = vaultWith(masterKey())
  const session = vault.forSession(id, 1)
  const ids = Array.from({ length: 20 }, (_, i) => String(i))
  await Promise.all(ids.map((key) => session.write([{ type: 'pre-key', id: key, value: bytes(key) }])))
  const read = await vault.forSession(id, 1).readKeys('pre-key', ids)
  expect(ids.map((key) => Buffer.from(read.get(key) ?? []).toString())).toEqual(ids)
})

test('a stale holder writes nothing, and its key is refused even where nobody has written since', async () => {
  const id = await heldSession(1)
  const vault = vaultWith(masterKey())
  const old = vault.forSession(id, 1)
  await old.write([{ type: 'session', id: 'a', value: bytes('old') }])
  await t.store.sessions.raiseEpoch(id, 2)
  await expect(old.write([{ type: 'session', id: 'untouched', value: bytes('x') }])).rejects.toMatchObject({
    code: 'stale_epoch',
  })
  await expect(old.erase()).rejects.toMatchObject({ code: 'stale_epoch' })
  expect((await vault.forSession(id, 2).readKeys('session', ['a', 'untouched'])).size).toBe(1)
})

test('after an erase through one object, another one writes and reads under the new data key', async () => {
  const id = await heldSession()
  const vault = vaultWith(masterKey())
  const [first, second] = [vault.forSession(id, 1), vault.forSession(id, 1)]
  await first.write([{ type: 'creds', id: '', value: bytes('one') }])
  await second.readCreds()
  await first.erase()
  await first.write([{ type: 'creds', id: '', value: bytes('two') }])
  expect(Buffer.from((await second.readCreds()) ?? []).toString()).toBe('two')
  await second.write([{ type: 'creds', id: '', value: bytes('three') }])
  expect(Buffer.from((await vault.forSession(id, 1).readCreds()) ?? []).toString()).toBe('three')
})

test('rotation re-wraps data keys and touches no entry; without the old key nothing is lost, only unreadable', async () => {
  const [old, next] = [masterKey(), masterKey()]
  const ids = [await heldSession(), await heldSession(), await heldSession()].toSorted()
  for (const id of ids)
    await vaultWith(old)
      .forSession(id, 1)
      .write([{ type: 'creds', id: '', value: bytes(id) }])
  const sealedBefore = await t.store.credentials.read(ids[0] ?? '', 'creds', [''])

  expect(await vaultWith(next).rewrapPage(10)).toEqual({ rewrapped: 0, unreadable: ids, lastSessionId: null })
  await expect(
    vaultWith(next)
      .forSession(ids[0] ?? '', 1)
      .readCreds(),
  ).rejects.toMatchObject({ code: 'credentials_unreadable' })

  const holder = vaultWith(old, next).forSession(ids[0] ?? '', 1)
  await holder.readCreds()
  const both = vaultWith(next, old)
  expect(await both.rewrapPage(2)).toEqual({ rewrapped: 2, unreadable: [], lastSessionId: ids[1] })
  expect(await both.rewrapPage(2, ids[1])).toEqual({ rewrapped: 1, unreadable: [], lastSessionId: null })
  expect(await t.store.credentials.read(ids[0] ?? '', 'creds', [''])).toEqual(sealedBefore)

  // A holder that opened the session before the rotation writes on undisturbed.
  await holder.write([{ type: 'session', id: 'a', value: bytes('while rotating') }])
  const onlyNew = vaultWith(next)
  for (const id of ids) expect(Buffer.from((await onlyNew.forSession(id, 1).readCreds()) ?? []).toString()).toBe(id)
  expect((await onlyNew.forSession(ids[0] ?? '', 1).readKeys('session', ['a'])).size).toBe(1)
})

test('the embedded key is made once, whoever comes first, for the owner alone', async () => {
  const source = { credentialsKey: undefined, credentialsKeyFile: undefined, embeddedCredentialsKeyPath: join(dir, 'd', 'key') }
  const rings = Array.from({ length: 5 }, () => createKeyRing(source, log))
  expect(new Set(rings.map((ring) => ring.currentId)).size).toBe(1)
  expect((await stat(source.embeddedCredentialsKeyPath)).mode & 0o777).toBe(0o600)
  expect(await readdir(join(dir, 'd'))).toEqual(['key'])
})

test('a key file is re-read when it changes, half-written ones are not taken, and what the old key sealed still opens', async () => {
  const path = join(dir, 'keys')
  const [old, next] = [masterKey().toString('base64'), masterKey().toString('base64')]
  await writeFile(path, `${old}\n`)
  const ring = createKeyRing({ credentialsKey: undefined, credentialsKeyFile: path, embeddedCredentialsKeyPath: '' }, log)
  const before = ring.currentId
  const sealed = ring.seal('ctx', bytes('whsec_x'))

  // An unknown key id makes it look at once; otherwise it looks once a second.
  const sealedByNext = new KeyRing([Buffer.from(next, 'base64')], log).seal('ctx', bytes('newer'))
  await writeFile(path, `${next.slice(0, 20)}\n`)
  expect(() => ring.open('ctx', sealedByNext)).toThrow(/No master key/)
  expect(ring.currentId).toBe(before)
  await writeFile(path, `${next}\n${old}\n`)
  expect(ring.open('ctx', sealedByNext)).toEqual(bytes('newer'))
  expect(ring.currentId).not.toBe(before)
  expect(ring.open('ctx', sealed)).toEqual(bytes('whsec_x'))
  expect(() => ring.open('other', sealed)).toThrow(expect.objectContaining({ code: 'credentials_unreadable' }))
  await writeFile(path, `${next}\n`)
  const fresh = createKeyRing({ credentialsKey: undefined, credentialsKeyFile: path, embeddedCredentialsKeyPath: '' }, log)
  expect(() => fresh.open('ctx', sealed)).toThrow(/No master key/)
})

test.each([
  ['an empty file', '\n'],
  ['a short key', `${randomBytes(16).toString('base64')}\n`],
  ['no base64', 'hello, this is not a key at all, sorry about it\n'],
])('%s is refused with the line, never with the key', async (_, text) => {
  const path = join(dir, 'keys')
  await writeFile(path, text)
  const open = () => createKeyRing({ credentialsKey: undefined, credentialsKeyFile: path, embeddedCredentialsKeyPath: '' }, log)
  expect(open).toThrow(expect.objectContaining({ code: 'configuration' }))
  expect(open).not.toThrow(new RegExp(RegExp.escape(text.trim().slice(0, 10) || 'nothing')))
  expect(await readFile(path, 'utf8')).toBe(text)
})

test.each([0, 1, 8, 36])('a sealed secret cut to %i bytes is refused, not misread', (length) => {
  const ring = new KeyRing([masterKey()], log)
  const sealed = ring.seal('c', bytes('a secret')).subarray(0, length)
  expect(() => ring.open('c', sealed)).toThrow(expect.objectContaining({ code: 'credentials_unreadable' }))
})
