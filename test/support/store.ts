// Stores of the test's own: a SQLite file in a temporary directory, a database on the run's MongoDB; and both for contract tests.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import type { Store } from '../../src/store/store.ts'
import { newSession } from './records.ts'

export interface TestStore {
  store: Store
  /** A further connection to the same data, as another process would have; closed with this one. */
  another(): Promise<Store>
  /** Closes the connections and removes the data. */
  close(): Promise<void>
}

export interface TestSqlite extends TestStore {
  path: string
}

export async function openTestSqlite(): Promise<TestSqlite> {
  const dir = await mkdtemp(join(tmpdir(), 'uj-store-'))
  const path = join(dir, 'ujumbe.db')
  const opened = [await openSqliteStore(path)]
  return {
    store: opened[0] as Store,
    path,
    another: async () => {
      const store = await openSqliteStore(path)
      opened.push(store)
      return store
    },
    close: async () => {
      await Promise.all(opened.map((store) => store.close()))
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** A session that a worker holds with this epoch. */
export async function createHeldSession(store: Store, epoch = 1): Promise<string> {
  const input = newSession()
  await store.sessions.create(input, () => [])
  await store.sessions.raiseEpoch(input.session.id, epoch)
  return input.session.id
}
