// The store in MongoDB, for fleets on several machines.
import type { Store } from '../store.ts'
import { createCredentials } from './credentials.ts'
import { MongoDatabase } from './database.ts'
import { createDeliveries } from './deliveries.ts'
import { createEndpoints } from './endpoints.ts'
import { EventPlaces } from './event-places.ts'
import { createEvents } from './events.ts'
import { createHealth } from './health.ts'
import { createKeys } from './keys.ts'
import { createMessages } from './messages.ts'
import { createReplays } from './replays.ts'
import { createSessions } from './sessions.ts'
import { sweep } from './sweep.ts'

/** @throws AppError `configuration`, `store_unavailable` */
export async function openMongoStore(url: string): Promise<Store> {
  const db = await MongoDatabase.open(url)
  const places = new EventPlaces(db)
  return {
    kind: 'mongo',
    sessions: createSessions(db, places),
    keys: createKeys(db),
    credentials: createCredentials(db),
    messages: createMessages(db, places),
    events: createEvents(db, places),
    endpoints: createEndpoints(db, places),
    deliveries: createDeliveries(db),
    replays: createReplays(db),
    health: createHealth(db),
    ping: () => db.ping(),
    sweep: (policy, now, limit) => sweep(db, policy, now, limit),
    close: () => {
      places.stop()
      return db.close()
    },
  }
}
