// One suite, every adapter of the store: where no MongoDB is to be had its half is shown as skipped.
import { afterEach, beforeEach, describe } from 'vitest'
import type { Store } from '../../src/store/store.ts'
import { openTestMongo } from './mongo-store.ts'
import { openTestSqlite, type TestStore } from './store.ts'

const mongoUrl = process.env['UJUMBE_TEST_MONGODB']
const kinds = [
  { kind: 'sqlite', open: openTestSqlite as () => Promise<TestStore>, missing: false },
  { kind: 'mongo', open: () => openTestMongo(mongoUrl ?? ''), missing: !mongoUrl },
]

/** Runs `tests` once for each adapter, each test on data of its own. `opened.store` is there while a test runs. */
export function describeStores(title: string, tests: (opened: { store: Store; another: () => Promise<Store> }) => void): void {
  for (const { kind, open, missing } of kinds) {
    describe.skipIf(missing)(`${title}: ${kind}${missing ? ' (no MongoDB found)' : ''}`, () => {
      let current: TestStore | undefined
      beforeEach(async () => {
        current = await open()
      })
      afterEach(async () => {
        await current?.close()
        current = undefined
      })
      const opened = () => {
        if (!current) throw new Error('the store is there only while a test runs')
        return current
      }
      tests({
        get store() {
          return opened().store
        },
        another: () => opened().another(),
      })
    })
  }
}
