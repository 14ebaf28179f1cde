// A store of the test's own: a SQLite file in a temporary directory.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import type { Store } from '../../src/store/store.ts'

export interface TestStore {
  store: Store
  /** Another process's (or a second) connection opens this. */
  path: string
  /** Closes the store and removes the file. */
  close(): Promise<void>
}

export async function openTestSqlite(): Promise<TestStore> {
  const dir = await mkdtemp(join(tmpdir(), 'uj-store-'))
  const path = join(dir, 'ujumbe.db')
  const store = await openSqliteStore(path)
  return {
    store,
    path,
    close: async () => {
      await store.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
