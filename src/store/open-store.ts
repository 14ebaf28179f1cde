// Opens the store that the configuration names: SQLite in the data directory, or MongoDB.
import type { Config } from '../platform/config.ts'
import type { Log } from '../platform/log.ts'
import { openSqliteStore } from './sqlite/sqlite-store.ts'
import type { Store } from './store.ts'

/** @throws AppError `configuration` with one sentence on what to do, `store_unavailable` */
export async function openStore(config: Pick<Config, 'mongodbUrl' | 'sqlitePath'>, log: Log): Promise<Store> {
  const store = await openSqliteStore(config.sqlitePath)
  log.debug({ kind: store.kind }, 'store.opened')
  return store
}
