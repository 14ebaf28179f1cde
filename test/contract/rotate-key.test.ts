// Rotating the master key: beside holders that write, killed half-way and run again, with nothing lost and the old key not needed any more.
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCredentialVault, type CredentialVault } from '../../src/store/credential-vault.ts'
import { KeyRing } from '../../src/store/key-ring.ts'
import { openProxyUrl, prepareProxy } from '../../src/sessions/proxy.ts'
import { openHeaders, openSecrets, sealHeaders, sealSecret } from '../../src/webhooks/endpoint-secrets.ts'
import { editEndpoint } from '../../src/webhooks/create-endpoint.ts'
import { createGuardPolicy } from '../../src/webhooks/guard-url.ts'
import { openTestMongo } from '../support/mongo-store.ts'
import { newEndpoint } from '../support/records.ts'
import { startScript, type Script } from '../support/script.ts'
import { createHeldSession, openTestSqlite, type TestStore } from '../support/store.ts'
import { waitFor } from '../support/wait.ts'

const log = pino({ level: 'silent' })
const proxyCount = 5
const mongoUrl = process.env['UJUMBE_TEST_MONGODB']

interface Place extends TestStore {
  /** For the command. */
  env: Record<string, string>
}
async function sqlitePlace(): Promise<Place> {
  const sqlite = await openTestSqlite()
  return { ...sqlite, env: { UJUMBE_DATA_DIR: dirname(sqlite.path) } }
}
async function mongoPlace(): Promise<Place> {
  const mongo = await openTestMongo(mongoUrl ?? '')
  return { ...mongo, env: { MONGODB_URL: mongo.url } }
}
const kinds = [
  { kind: 'sqlite', open: sqlitePlace, missing: false, sessionCount: 200, endpointCount: 60 },
  { kind: 'mongo', open: mongoPlace, missing: !mongoUrl, sessionCount: 110, endpointCount: 40 },
]

describe.each(kinds)('$kind', ({ open, missing, sessionCount, endpointCount }) => {
  let opened: Place
  let directory: string
  let keyFile: string
  let ring: KeyRing
  let sessions: string[]
  let endpoints: string[]
  let vault: CredentialVault
  let script: Script | undefined

  beforeEach(async () => {
    if (missing) return
    opened = await open()
    directory = await mkdtemp(join(tmpdir(), 'uj-rotation-'))
    keyFile = join(directory, 'keys')
    await writeFile(keyFile, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 })
    ring = new KeyRing(keyFile, log)
    vault = createCredentialVault({ credentials: opened.store.credentials, keyRing: ring })
    sessions = await Promise.all(Array.from({ length: sessionCount }, () => createHeldSession(opened.store)))
    await Promise.all(
      sessions.map((id) => vault.forSession(id, 1).write([{ type: 'creds', id: '', value: Buffer.from(`creds of ${id}`) }])),
    )
    const guardPolicy = createGuardPolicy(['127.0.0.0/8'])
    for (const id of sessions.slice(0, proxyCount)) {
      const wanted = `http://kiosk:of-${id}@127.0.0.1:3128`
      const proxy = await prepareProxy({ secretBox: ring, guardPolicy }, id, { wanted, current: null, isAdmin: true })
      if (proxy) await opened.store.sessions.edit(id, { settings: proxy })
    }
    endpoints = await Promise.all(
      Array.from({ length: endpointCount }, async (_, i) => {
        const record = newEndpoint({ createdAt: i })
        await opened.store.endpoints.create({
          ...record,
          sealedSecret: sealSecret(ring, record.id, `whsec_${record.id}`),
          sealedHeaders: i % 2 === 0 ? sealHeaders(ring, record.id, { 'x-token': record.id }) : null,
          sealedPreviousSecret: i % 3 === 0 ? sealSecret(ring, record.id, `whsec_old${record.id}`) : null,
          previousSecretUntil: i % 3 === 0 ? Date.now() + 3_600_000 : null,
        })
        return record.id
      }),
    )
  })
  afterEach(async () => {
    script?.child.kill('SIGKILL')
    await script?.ended
    if (missing) return
    await opened.close()
    await rm(directory, { recursive: true })
  })

  function rotate(...args: string[]): Script {
    script = startScript('rotate-credentials-key', args, {
      UJUMBE_DATA_DIR: directory,
      UJUMBE_CREDENTIALS_KEY_FILE: keyFile,
      ...opened.env,
    })
    return script
  }

  const keysInFile = async () => (await readFile(keyFile, 'utf8')).trim().split('\n')

  async function countUnder(keyRing: KeyRing): Promise<{ sessions: number; endpoints: number }> {
    const others = await opened.store.credentials.listWrappedByOthers(keyRing.currentId, 1_000)
    const { data } = await opened.store.endpoints.list({ limit: 200 })
    return {
      sessions: sessionCount - others.length,
      endpoints: data.filter(({ sealedSecret }) => keyRing.isCurrent(sealedSecret)).length,
    }
  }

  /** With the one key alone, as after a restart. */
  async function expectReadableWith(key: string): Promise<void> {
    const alone = new KeyRing([Buffer.from(key, 'base64')], log)
    const reader = createCredentialVault({ credentials: opened.store.credentials, keyRing: alone })
    for (const id of sessions) {
      expect(Buffer.from((await reader.forSession(id, 1).readCreds()) ?? []).toString()).toMatch(`creds of ${id}`)
    }
    for (const id of sessions.slice(0, proxyCount)) {
      const record = await opened.store.sessions.get(id)
      expect(record && openProxyUrl(alone, record)?.password).toBe(`of-${id}`)
    }
    const { data } = await opened.store.endpoints.list({ limit: 200 })
    for (const [i, endpoint] of data.toReversed().entries()) {
      expect(openSecrets(alone, endpoint, Date.now())).toEqual([
        `whsec_${endpoint.id}`,
        ...(i % 3 === 0 ? [`whsec_old${endpoint.id}`] : []),
      ])
      const token = openHeaders(alone, endpoint)['x-token']
      expect(i % 2 === 0 ? [endpoint.id, 'edited'] : [undefined]).toContain(token)
    }
  }

  test.skipIf(missing)(
    'killed half-way and run again: one new key, everything under it, and the old one not needed',
    { timeout: 90_000 },
    async () => {
      const [before] = await keysInFile()
      const first = rotate()
      await waitFor('some are wrapped anew', () => first.printed().includes('data keys'))
      first.child.kill('SIGKILL')
      expect(await first.ended).toBeNull()
      const half = new KeyRing(keyFile, log)
      const done = await countUnder(half)
      expect(done.sessions).toBeGreaterThan(0)
      expect(done.sessions + done.endpoints).toBeLessThan(sessionCount + endpointCount)
      const [current, old] = await keysInFile()
      expect(old).toBe(before)
      expect(current).not.toBe(before)

      const second = rotate()
      expect(await second.ended, second.printed()).toBe(0)
      expect(second.printed()).toContain('had begun before is finished')
      expect(await keysInFile()).toEqual([current, old])
      expect(await countUnder(half)).toEqual({ sessions: sessionCount, endpoints: endpointCount })
      await expectReadableWith(current ?? '')

      const third = rotate('--forget-old')
      expect(await third.ended, third.printed()).toBe(0)
      expect(await keysInFile()).toEqual([current])
      expect((await stat(keyFile)).mode & 0o777).toBe(0o600)
      for (const text of [first, second, third].map((each) => each.printed())) {
        for (const key of [current, old]) expect(text).not.toContain(key)
      }
    },
  )

  test.skipIf(missing)(
    'beside holders that write and people who edit endpoints, nothing is refused or undone',
    { timeout: 90_000 },
    async () => {
      const rotation = rotate()
      const over = new AbortController()
      void rotation.ended.then(() => over.abort())
      const holders = sessions.slice(0, 20).map((id) => vault.forSession(id, 1))
      const edited = endpoints.filter((_, i) => i % 2 === 0).slice(0, 10)
      const guardPolicy = createGuardPolicy([])
      for (let n = 0; !over.signal.aborted; n += 1) {
        await Promise.all(
          holders.map((holder, i) =>
            holder.write([{ type: 'creds', id: '', value: Buffer.from(`creds of ${sessions[i]} #${n}`) }]),
          ),
        )
        const id = edited[n % edited.length] ?? ''
        await editEndpoint({ endpoints: opened.store.endpoints, secretBox: ring, guardPolicy }, id, {
          headers: { 'x-token': 'edited' },
        })
      }
      expect(await rotation.ended, rotation.printed()).toBe(0)
      const [current] = await keysInFile()
      await expectReadableWith(current ?? '')
      const { data } = await opened.store.endpoints.list({ limit: 200 })
      for (const endpoint of data.filter(({ id }) => edited.includes(id)))
        expect(openHeaders(ring, endpoint)['x-token']).toBe('edited')
    },
  )

  test.skipIf(missing)('two at once, a key in the environment, and a key that is gone', { timeout: 90_000 }, async () => {
    const first = rotate()
    await waitFor('it has begun', () => stat(`${keyFile}.lock`).catch(() => null))
    const second = startScript('rotate-credentials-key', [], {
      UJUMBE_DATA_DIR: directory,
      UJUMBE_CREDENTIALS_KEY_FILE: keyFile,
      ...opened.env,
    })
    expect(await second.ended).toBe(1)
    expect(second.printed()).toContain('Another rotation is running')
    expect(await first.ended, first.printed()).toBe(0)

    const fixed = startScript('rotate-credentials-key', [], {
      UJUMBE_CREDENTIALS_KEY: randomBytes(32).toString('base64'),
      ...opened.env,
    })
    expect(await fixed.ended).toBe(1)
    expect(fixed.printed()).toContain('UJUMBE_CREDENTIALS_KEY_FILE')

    await writeFile(keyFile, `${randomBytes(32).toString('base64')}\n`)
    const lost = rotate('--no-new-key')
    expect(await lost.ended).toBe(1)
    expect(lost.printed()).toContain(sessions[0])
  })
})
