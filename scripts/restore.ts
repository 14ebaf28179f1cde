// `npm run restore -- <backup>`: puts a backup of the store in place, while nothing runs.
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { AppError } from '../src/platform/errors.ts'
import type { CredentialStore } from '../src/store/credential-store.ts'
import type { EndpointStore } from '../src/store/event-store.ts'
import { createKeyRing, type KeyRing } from '../src/store/key-ring.ts'
import { restoreMongo } from '../src/store/mongo/backup.ts'
import { openStore } from '../src/store/open-store.ts'
import type { SessionStore } from '../src/store/session-store.ts'
import { restoreSqlite } from '../src/store/sqlite/backup.ts'
import type { Store } from '../src/store/store.ts'
import { keyFileOf, requireStoppedFleet, runCommand } from './support/operator.ts'

const { positionals, values: flags } = parseArgs({ allowPositionals: true, options: { replace: { type: 'boolean' } } })
const pageSize = 200

runCommand(async (config) => {
  const [source] = positionals
  if (source === undefined) throw new AppError('configuration', 'Which one? `npm run restore -- <backup>`')
  const directory = resolve(source)
  const about = await readFile(join(directory, 'backup.json'), 'utf8').catch(() => {
    throw new AppError('configuration', `${directory} is no backup, or not a whole one.`)
  })
  const { kind, at } = JSON.parse(about) as { kind: 'sqlite' | 'mongo'; at: string }
  const here = config.mongodbUrl ? 'mongo' : 'sqlite'
  if (kind !== here) throw new AppError('configuration', `The backup is of ${kind}, the configuration says ${here}.`)
  await requireStoppedFleet(config)
  if (config.mongodbUrl) await restoreMongo(config.mongodbUrl, directory, flags.replace === true)
  else {
    const kept = restoreSqlite(join(directory, 'ujumbe.db'), config.sqlitePath)
    if (kept) console.log(`What was there is kept at ${kept}`)
  }
  const log = pino({ level: 'silent' })
  const store = await openStore(config, log)
  try {
    const sessions = Object.values(await store.sessions.countByStatus()).reduce((sum, count) => sum + count, 0)
    console.log(`Restored the store of ${at}: ${sessions} sessions.`)
    const unreadable = await listUnreadable(createKeyRing(config, log), store)
    if (unreadable.length > 0)
      throw new AppError(
        'configuration',
        `${keyFileOf(config)} does not hold the key for ${unreadable.join(', ')}: they need another master key. Put it back before you start.`,
      )
  } finally {
    await store.close()
  }
})

/** What was sealed by a master key that is not there, of each kind, with how much. */
async function listUnreadable(keyRing: KeyRing, store: Store): Promise<string[]> {
  const counts = {
    'credentials of sessions': await countUnwrapped(keyRing, store.credentials),
    'proxies of sessions': await countSealedProxies(keyRing, store.sessions),
    'secrets of webhook endpoints': await countSealedEndpoints(keyRing, store.endpoints),
  }
  return Object.entries(counts).flatMap(([what, count]) => (count > 0 ? [`the ${what} (${count})`] : []))
}

async function countUnwrapped(keyRing: KeyRing, credentials: CredentialStore): Promise<number> {
  let count = 0
  for (let after = ''; ;) {
    const page = await credentials.listWrappedByOthers(keyRing.currentId, pageSize, after)
    count += page.filter(({ dataKey }) => !keyRing.knows(dataKey.masterKeyId)).length
    const last = page.at(-1)
    if (!last || page.length < pageSize) return count
    after = last.sessionId
  }
}

async function countSealedProxies(keyRing: KeyRing, sessions: SessionStore): Promise<number> {
  let count = 0
  for (let afterId = ''; ;) {
    const page = await sessions.listSealedProxies({ afterId, limit: pageSize })
    count += page.filter(({ sealedProxyUrl }) => !keyRing.canOpen(Buffer.from(sealedProxyUrl, 'base64'))).length
    const last = page.at(-1)
    if (!last || page.length < pageSize) return count
    afterId = last.id
  }
}

async function countSealedEndpoints(keyRing: KeyRing, endpoints: EndpointStore): Promise<number> {
  let count = 0
  for (let cursor: string | null | undefined; cursor !== null;) {
    const page = await endpoints.list({ limit: pageSize, ...(cursor === undefined ? {} : { cursor }) })
    const sealed = page.data.map((endpoint) => [endpoint.sealedSecret, endpoint.sealedHeaders, endpoint.sealedPreviousSecret])
    count += sealed.filter((parts) => !parts.every((part) => part === null || keyRing.canOpen(part))).length
    cursor = page.nextCursor
  }
  return count
}
