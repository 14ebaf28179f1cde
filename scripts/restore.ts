// `npm run restore -- <backup>`: puts a backup of the store in place, while nothing runs.
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { AppError } from '../src/platform/errors.ts'
import type { CredentialStore } from '../src/store/credential-store.ts'
import { createKeyRing, type KeyRing } from '../src/store/key-ring.ts'
import { restoreMongo } from '../src/store/mongo/backup.ts'
import { openStore } from '../src/store/open-store.ts'
import { restoreSqlite } from '../src/store/sqlite/backup.ts'
import { keyFileOf, requireStoppedFleet, runCommand } from './support/operator.ts'

const { positionals, values: flags } = parseArgs({ allowPositionals: true, options: { replace: { type: 'boolean' } } })

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
    const unreadable = await countUnreadable(createKeyRing(config, log), store.credentials)
    if (unreadable > 0)
      throw new AppError(
        'configuration',
        `The credentials of ${unreadable} sessions need another master key than ${keyFileOf(config)} holds. Put the key back before you start.`,
      )
  } finally {
    await store.close()
  }
})

/** Of the sessions whose keys were wrapped by another master key than the current one. */
async function countUnreadable(keyRing: KeyRing, credentials: CredentialStore): Promise<number> {
  let count = 0
  for (let after = ''; ;) {
    const page = await credentials.listWrappedByOthers(keyRing.currentId, 200, after)
    count += page.filter(({ dataKey }) => !keyRing.knows(dataKey.masterKeyId)).length
    const last = page.at(-1)
    if (!last || page.length < 200) return count
    after = last.sessionId
  }
}
