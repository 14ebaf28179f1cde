// Backup and restore by the operator's own commands, for both stores: what comes back is what was there, and it works.
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { createConnection } from 'mongoose'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openProxyUrl, prepareProxy } from '../../src/sessions/proxy.ts'
import { createCredentialVault } from '../../src/store/credential-vault.ts'
import { KeyRing } from '../../src/store/key-ring.ts'
import { placeSteps } from '../../src/store/log-page.ts'
import { openMongoStore } from '../../src/store/mongo/mongo-store.ts'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import type { Store } from '../../src/store/store.ts'
import { sealSecret } from '../../src/webhooks/endpoint-secrets.ts'
import { createGuardPolicy } from '../../src/webhooks/guard-url.ts'
import { startOwnMongo, type OwnServer } from '../support/mongo-server.ts'
import { openTestMongo } from '../support/mongo-store.ts'
import { newEndpoint, newMessage, tells, tellsNothing } from '../support/records.ts'
import { startScript } from '../support/script.ts'
import { createHeldSession, openTestSqlite } from '../support/store.ts'

interface Place {
  store: Store
  /** For the commands. */
  env: Record<string, string>
  reopen(): Promise<Store>
  close(): Promise<void>
}

const mongoUrl = process.env['UJUMBE_TEST_MONGODB']
/** A restore drops collections, and the stand-in may hang for good then: only this file's tests may have that. */
let ownMongo: OwnServer | undefined
beforeAll(async () => {
  if (!mongoUrl || process.env['MONGODB_TEST_URL']) return
  const started = await startOwnMongo()
  if (typeof started !== 'string') ownMongo = started
}, 90_000)
afterAll(() => ownMongo?.stop())
const log = pino({ level: 'silent' })
const key = randomBytes(32)

async function sqlitePlace(): Promise<Place> {
  const opened = await openTestSqlite()
  return {
    store: opened.store,
    env: { UJUMBE_DATA_DIR: dirname(opened.path) },
    reopen: () => openSqliteStore(opened.path),
    close: () => opened.close(),
  }
}
async function mongoPlace(): Promise<Place> {
  const opened = await openTestMongo(ownMongo?.url ?? mongoUrl ?? '')
  return {
    store: opened.store,
    env: { MONGODB_URL: opened.url },
    reopen: () => openMongoStore(opened.url),
    close: () => opened.close(),
  }
}
const kinds = [
  { kind: 'sqlite', open: sqlitePlace, missing: false },
  { kind: 'mongo', open: mongoPlace, missing: !mongoUrl },
]

async function proxyOf(store: Store, sessionId: string): Promise<string | undefined> {
  const session = await store.sessions.get(sessionId)
  return session ? openProxyUrl(new KeyRing([key], log), session)?.href : undefined
}

async function everything(store: Store, sessionId: string): Promise<unknown> {
  const vault = createCredentialVault({ credentials: store.credentials, keyRing: new KeyRing([key], log) })
  return {
    sessions: (await store.sessions.list({ limit: 100 })).data,
    proxy: await proxyOf(store, sessionId),
    creds: Buffer.from((await vault.forSession(sessionId, 1).readCreds()) ?? []).toString(),
    messages: (await store.messages.listUnfinished(sessionId, { limit: 200 })).map(({ id, sequence }) => ({ id, sequence })),
    endpoints: (await store.endpoints.list({ limit: 100 })).data,
    deliveries: await store.deliveries.countByStatus(),
    overview: await store.health.overview(0, 10),
  }
}

describe.each(kinds)('$kind', ({ kind, open, missing }) => {
  let place: Place
  let spare: Place
  let directory: string
  beforeEach(async () => {
    if (missing) return
    ;[place, spare] = await Promise.all([open(), open()])
    directory = await mkdtemp(join(tmpdir(), 'uj-backup-'))
  })
  afterEach(async () => {
    if (missing) return
    await Promise.all([place.close(), spare.close()])
    await rm(directory, { recursive: true, force: true })
  })
  const run = async (name: string, args: string[], env: Record<string, string>) => {
    const data = env['UJUMBE_DATA_DIR'] ?? directory
    await mkdir(data, { recursive: true })
    await writeFile(join(directory, 'keys'), key.toString('base64'), { mode: 0o600 })
    const script = startScript(name, args, {
      UJUMBE_DATA_DIR: data,
      UJUMBE_CREDENTIALS_KEY_FILE: join(directory, 'keys'),
      ...env,
    })
    return { code: await script.ended, text: script.printed() }
  }
  const restoreElsewhere = async (): Promise<Store> => {
    await spare.store.close()
    const restored = await run('restore', [await newest(), '--replace'], spare.env)
    expect(restored, restored.text).toMatchObject({ code: 0, text: expect.stringContaining('1 sessions') as string })
    return spare.reopen()
  }
  const newest = async () =>
    join(directory, (await readdir(directory)).filter((name) => /^ujumbe-.*Z$/.test(name)).at(-1) ?? 'none')

  async function fill(store: Store): Promise<string> {
    const id = await createHeldSession(store)
    const vault = createCredentialVault({ credentials: store.credentials, keyRing: new KeyRing([key], log) })
    await vault.forSession(id, 1).write([{ type: 'creds', id: '', value: Buffer.from('paired') }])
    const guardPolicy = createGuardPolicy(['127.0.0.0/8'])
    const proxy = { wanted: 'http://kiosk:mango@127.0.0.1:3128', current: null, isAdmin: true }
    const settings = await prepareProxy({ secretBox: new KeyRing([key], log), guardPolicy }, id, proxy)
    await store.sessions.edit(id, { settings: settings ?? {} })
    const endpoint = newEndpoint({ sessionId: id })
    await store.endpoints.create({ ...endpoint, sealedSecret: sealSecret(new KeyRing([key], log), endpoint.id, 'whsec_1') })
    for (let i = 0; i < 30; i += 1) await accept(store, id)
    await store.sessions.setHealth(id, { score: 50, level: 'recovering', reason: null, at: 1 }, tellsNothing)
    return id
  }
  const accept = (store: Store, id: string) =>
    store.messages.accept(
      { message: newMessage(id), idempotency: null, maxQueueDepth: 10_000, now: Date.now() },
      tells('message.queued'),
    )

  test.skipIf(missing)('what was there comes back, and goes on where it was', { timeout: 120_000 }, async () => {
    const id = await fill(place.store)
    const before = await everything(place.store, id)
    const made = await run('backup', [directory], place.env)
    expect(made, made.text).toMatchObject({ code: 0 })
    expect(made.text).toContain('It holds no master key')
    await accept(place.store, id)
    const store = await restoreElsewhere()
    try {
      expect(await everything(store, id)).toEqual(before)
      expect(before).toMatchObject({ proxy: 'http://kiosk:mango@127.0.0.1:3128/', creds: 'paired' })
      expect(await accept(store, id)).toMatchObject({ outcome: 'accepted' })
      const unfinished = await store.messages.listUnfinished(id, { limit: 200 })
      expect(new Set(unfinished.map(({ sequence }) => sequence)).size).toBe(31)
    } finally {
      await store.close()
    }
  })

  test.skipIf(missing)('a backup beside a writer is whole: each message with its event', { timeout: 120_000 }, async () => {
    const id = await fill(place.store)
    const over = new AbortController()
    const writing = (async () => {
      while (!over.signal.aborted) await accept(place.store, id)
    })()
    const made = await run('backup', [directory], place.env)
    over.abort()
    await writing
    expect(made, made.text).toMatchObject({ code: 0 })
    const store = await restoreElsewhere()
    try {
      const messages = await store.messages.listUnfinished(id, { limit: 10_000 })
      expect(messages.length).toBeGreaterThanOrEqual(30)
      const work = (await store.health.work([id], Date.now())).get(id)
      expect(work).toMatchObject({ depth: messages.length, revision: placeSteps.session })
      expect(await sequencesOf(store, id)).toEqual(messages.map((_, i) => i + 1))
    } finally {
      await store.close()
    }
  })

  test.skipIf(missing)('who reads the log is told where the backup left a gap', { timeout: 120_000 }, async () => {
    const id = await fill(place.store)
    const { events } = place.store
    const early = (await events.read({ limit: 10 })).next
    const [inTime, inTimeOfSession] = [await events.newestPlace(), await events.newestPlace(id)]
    expect(inTimeOfSession).toBe('30')
    expect(await run('backup', [directory], place.env)).toMatchObject({ code: 0 })
    for (let i = 0; i < 5; i += 1) await accept(place.store, id)
    const [lost, lostOfSession] = [await events.newestPlace(), await events.newestPlace(id)]
    const store = await restoreElsewhere()
    try {
      // What nobody can know to be in a log that has nothing new yet.
      for (const query of [{ after: lost }, { after: lostOfSession, sessionId: id }])
        expect((await store.events.read({ ...query, limit: 200 })).oldestPlace).not.toBeNull()
      for (let i = 0; i < 20; i += 1) await accept(store, id)
      const added = Array.from({ length: 20 }, (_, i) => placeSteps.session + i + 1)
      for (const [places, sessionId] of [
        [[early, inTime, lost], undefined],
        [['10', inTimeOfSession, lostOfSession], id],
      ] as const) {
        const owner = sessionId === undefined ? {} : { sessionId }
        for (const types of [undefined, ['message.queued' as const]]) {
          for (const [i, after] of places.entries()) {
            const { before, gaps, behind } = await readOn(store, { ...owner, ...(types ? { types } : {}), after })
            expect([before.length > 0, gaps, behind]).toEqual([i === 0, 1, added])
          }
        }
        const { before, gaps, behind } = await readOn(store, owner)
        expect([before.length, gaps, behind]).toEqual([30, 1, added])
      }
      expect(await readOn(store, { after: await store.events.newestPlace() })).toEqual({ before: [], gaps: 0, behind: [] })
    } finally {
      await store.close()
    }
  })

  test.skipIf(missing)(
    'what must not be overwritten, is no backup, or lacks its key is refused',
    { timeout: 120_000 },
    async () => {
      await fill(place.store)
      expect((await run('backup', [], place.env)).code).toBe(1)
      expect(await run('backup', [directory], place.env)).toMatchObject({ code: 0 })
      const inUse = await run('restore', [await newest()], place.env)
      expect(inUse.code).toBe(1)
      expect(inUse.text).toMatch(/Stop the fleet first|holds \w+ already/)
      expect((await readdir(place.env['UJUMBE_DATA_DIR'] ?? directory)).filter((name) => name.includes('part'))).toEqual([])
      expect((await run('restore', [directory], spare.env)).text).toContain('is no backup')
      await spare.store.close()
      const other = join(directory, 'other-keys')
      await writeFile(other, randomBytes(32).toString('base64'))
      const lost = await run('restore', [await newest(), '--replace'], { ...spare.env, UJUMBE_CREDENTIALS_KEY_FILE: other })
      expect(lost.code).toBe(1)
      expect(lost.text).toContain('another master key')
      for (const what of ['credentials of sessions (1)', 'proxies of sessions (1)', 'secrets of webhook endpoints (1)'])
        expect(lost.text).toContain(what)
    },
  )

  if (kind === 'mongo') {
    test.skipIf(missing)('collections and indexes are all there again, of older schemas too', { timeout: 120_000 }, async () => {
      const before = await indexesOf(place.env['MONGODB_URL'] ?? '')
      expect(Object.keys(before)).toContain('replays')
      await fill(place.store)
      expect(await run('backup', [directory], place.env)).toMatchObject({ code: 0 })
      await (await restoreElsewhere()).close()
      expect(await indexesOf(spare.env['MONGODB_URL'] ?? '')).toEqual(before)
      const meta = join(await newest(), 'meta.jsonl.gz')
      const lines = gunzipSync(await readFile(meta)).toString()
      const older = lines.replace(/("_id":"schema","value":\{"\$number\w+":)"\d+(\.0)?"/, '$1"1"')
      expect(older).not.toBe(lines)
      await writeFile(meta, gzipSync(older))
      await (await restoreElsewhere()).close()
      expect(await indexesOf(spare.env['MONGODB_URL'] ?? '')).toEqual(before)
    })
  }
})

/** As a reader does that is told of a gap: the sequences that it gets before it and behind it. */
async function readOn(store: Store, query: Omit<Parameters<Store['events']['read']>[0], 'limit'>) {
  const [before, behind]: [number[], number[]] = [[], []]
  for (let gaps = 0, { after } = query; ;) {
    const page = await store.events.read({ ...query, ...(after === undefined ? {} : { after }), limit: 7 })
    if (page.oldestPlace !== null) {
      gaps += 1
      after = page.oldestPlace
      continue
    }
    ;(gaps > 0 ? behind : before).push(...page.events.map(({ sequence }) => sequence))
    after = page.next
    if (!page.hasMore) return { before, gaps, behind }
  }
}

async function sequencesOf(store: Store, sessionId: string): Promise<number[]> {
  return (await store.events.list({ sessionId, limit: 10_000 })).map(({ sequence }) => sequence)
}

async function indexesOf(url: string): Promise<Record<string, unknown[]>> {
  const connection = await createConnection(url).asPromise()
  try {
    const collections = (await connection.db?.listCollections({}, { nameOnly: true }).toArray()) ?? []
    const entries = collections.map(async ({ name }) => {
      const indexes = (await connection.db?.collection(name).indexes()) ?? []
      return [name, indexes.toSorted((a, b) => (a.name ?? '').localeCompare(b.name ?? ''))] as const
    })
    return Object.fromEntries(await Promise.all(entries))
  } finally {
    await connection.close()
  }
}
