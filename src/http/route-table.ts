// Every route of the API, in the order they are tried: the busiest first.
import type { Route } from './route.ts'
import { deliveryRoutes } from './routes/delivery-routes.ts'
import { eventRoutes } from './routes/event-routes.ts'
import { fleetRoutes } from './routes/fleet-routes.ts'
import { healthRoutes } from './routes/health-routes.ts'
import { keyRoutes } from './routes/key-routes.ts'
import { messageRoutes } from './routes/message-routes.ts'
import { operationRoutes } from './routes/operation-routes.ts'
import { overviewRoutes } from './routes/overview-routes.ts'
import { pageRoutes } from './routes/page-routes.ts'
import { pairingRoutes } from './routes/pairing-routes.ts'
import { replayRoutes } from './routes/replay-routes.ts'
import { sessionRoutes } from './routes/session-routes.ts'
import { webhookRoutes } from './routes/webhook-routes.ts'

const ofSessions = [
  ...messageRoutes,
  ...sessionRoutes,
  ...healthRoutes,
  ...pairingRoutes,
  ...keyRoutes,
  ...webhookRoutes,
  ...deliveryRoutes,
  ...replayRoutes,
  ...eventRoutes,
  ...overviewRoutes,
  ...fleetRoutes,
]

export const routeTable: readonly Route[] = [...ofSessions, ...operationRoutes(ofSessions), ...pageRoutes]
