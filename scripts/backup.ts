// `npm run backup -- <directory>`: the store as it is at one moment, while everything runs.
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { AppError } from '../src/platform/errors.ts'
import { version } from '../src/platform/version.ts'
import { backUpMongo } from '../src/store/mongo/backup.ts'
import { backUpSqlite } from '../src/store/sqlite/backup.ts'
import { keyFileOf, runCommand } from './support/operator.ts'

const { positionals } = parseArgs({ allowPositionals: true })

runCommand(async (config) => {
  const [target] = positionals
  if (target === undefined) throw new AppError('configuration', 'Where to? `npm run backup -- <directory>`')
  const at = new Date().toISOString()
  const directory = join(resolve(target), `ujumbe-${at.replace(/[:.]/g, '-')}`)
  const draft = `${directory}.part`
  await mkdir(draft, { recursive: true, mode: 0o700 })
  try {
    const kind = config.mongodbUrl ? 'mongo' : 'sqlite'
    if (config.mongodbUrl) await backUpMongo(config.mongodbUrl, draft)
    else backUpSqlite(config.sqlitePath, join(draft, 'ujumbe.db'))
    await writeFile(join(draft, 'backup.json'), `${JSON.stringify({ kind, version, at })}\n`, { mode: 0o600 })
    await rename(draft, directory)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    throw error
  }
  console.log(`Backup  ${directory}`)
  console.log(`It holds no master key. Keep a copy of ${keyFileOf(config)} elsewhere: without it the backup cannot be read.`)
})
