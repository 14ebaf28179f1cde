// Opens the store that the configuration names: SQLite in the data directory, or MongoDB.
import type { Config } from '../platform/config.ts'
import type { Log } from '../platform/log.ts'
import type { Store } from './store.ts'

/** @throws AppError `configuration` with one sentence on what to do, `store_unavailable` */
export async function openStore(config: Pick<Config, 'mongodbUrl' | 'sqlitePath'>, log: Log): Promise<Store> {
  const store = config.mongodbUrl ? await openMongo(config.mongodbUrl) : await openSqlite(config.sqlitePath)
  log.debug({ kind: store.kind }, 'store.opened')
  return store
}

/** Only the adapter that is used is loaded: mongoose costs a process 20 MB. */
async function openMongo(url: string): Promise<Store> {
  const { openMongoStore } = await import('./mongo/mongo-store.ts')
  return openMongoStore(url)
}

async function openSqlite(path: string): Promise<Store> {
  const { openSqliteStore } = await import('./sqlite/sqlite-store.ts')
  return openSqliteStore(path)
}
