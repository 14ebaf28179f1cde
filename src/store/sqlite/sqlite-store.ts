// The store in one SQLite file, for all processes of one machine.
import type { Store } from '../store.ts'
import { createCredentials } from './credentials.ts'
import { SqliteDatabase } from './database.ts'
import { createDeliveries } from './deliveries.ts'
import { createEndpoints } from './endpoints.ts'
import { createEvents } from './events.ts'
import { createHealth } from './health.ts'
import { createKeys } from './keys.ts'
import { createMessages } from './messages.ts'
import { createReplays } from './replays.ts'
import { createSessions } from './sessions.ts'
import { sweep } from './sweep.ts'

/** @throws AppError `configuration`, `store_unavailable` */
export async function openSqliteStore(path: string): Promise<Store> {
  return createSqliteStore(await SqliteDatabase.open(path))
}

export function createSqliteStore(db: SqliteDatabase): Store {
  return {
    kind: 'sqlite',
    sessions: createSessions(db),
    keys: createKeys(db),
    credentials: createCredentials(db),
    messages: createMessages(db),
    events: createEvents(db),
    endpoints: createEndpoints(db),
    deliveries: createDeliveries(db),
    replays: createReplays(db),
    health: createHealth(db),
    ping: () => db.read(() => void db.sql('SELECT 1 FROM sessions LIMIT 1').get()),
    sweep: (policy, now, limit) => sweep(db, policy, now, limit),
    close: () => db.close(),
  }
}
