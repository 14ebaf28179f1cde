// A MongoDB store of the test's own: a database of its own on the run's server.
import { randomBytes } from 'node:crypto'
import { createConnection } from 'mongoose'
import { openMongoStore } from '../../src/store/mongo/mongo-store.ts'
import type { Store } from '../../src/store/store.ts'
import type { TestStore } from './store.ts'

/** `serverUrl` is UJUMBE_TEST_MONGODB, set by the run. */
export async function openTestMongo(serverUrl: string): Promise<TestStore & { url: string }> {
  const url = new URL(serverUrl)
  url.pathname = `/ujumbe-test-${randomBytes(6).toString('hex')}`
  const opened = [await openMongoStore(url.href)]
  return {
    store: opened[0] as Store,
    url: url.href,
    another: async () => {
      const store = await openMongoStore(url.href)
      opened.push(store)
      return store
    },
    close: async () => {
      await Promise.all(opened.map((store) => store.close()))
      // Only of a server that outlives the run: SecantusDB never comes back from dropping what an abandoned transaction holds.
      if (!process.env['MONGODB_TEST_URL']) return
      const connection = await createConnection(url.href).asPromise()
      await connection.dropDatabase()
      await connection.close()
    },
  }
}
