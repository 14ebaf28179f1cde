// Figure: how long an event takes to its endpoint (p99) while another endpoint takes requests and never answers, beside the same without it.
import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '../../test/support/wait.ts'
import { pino } from 'pino'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { createDeliveryQueue } from '../../src/webhooks/delivery-queue.ts'
import { announceEvents } from '../../src/webhooks/publish-event.ts'
import { createFleetEndpoint } from './rig/fleet-endpoint.ts'
import { row, type Figure } from './rig/figure.ts'
import { startProductFleet, type ProductFleet } from './rig/product-fleet.ts'
import { startDeadReceiver, startWebhookReceiver } from './rig/webhook-receiver.ts'

const sessions = 10
const perSecond = 100
const events = 800
const warmUp = 100

export const webhookDelay: Figure = {
  name: 'webhook-delay',
  title: `event → webhook at ${perSecond} events per second, with one endpoint that never answers ÷ without`,
  devices: 0,
  async run({ dir, say }) {
    const fleet = await startProductFleet({ dir, apps: ['webhook-worker', 'scheduler', 'api'] })
    const [alive, dead] = await Promise.all([startWebhookReceiver(), startDeadReceiver()])
    try {
      await fleet.addSessions(Array.from({ length: sessions }, () => null))
      await createFleetEndpoint(fleet, alive.url)
      const deliver = async (count: number) => {
        const before = alive.received()
        await publish(fleet, count)
        await waitFor(`${count} webhooks`, () => alive.received() >= before + count, 30_000)
        return alive.takeDelays()
      }
      await deliver(warmUp)
      const without = await deliver(events)
      await createFleetEndpoint(fleet, dead.url)
      const withDead = await deliver(events)
      say(`${events} events each`)
      return [
        row('p99', 'ms', quantile(withDead, 0.99), quantile(without, 0.99), { atMost: 1.1 }),
        row('median', 'ms', quantile(withDead, 0.5), quantile(without, 0.5)),
      ]
    } finally {
      await Promise.all([alive.close(), dead.close()])
      await fleet.close()
    }
  },
}

/** As a session worker does: written to the store with their deliveries, announced after the commit; evenly spread in time. */
async function publish({ store, redis, sessionIds }: ProductFleet, count: number): Promise<void> {
  const log = pino({ level: 'silent' })
  const connection = connectRedis({ redisUrl: redis.url, redisSocketPath: '' }, 'worker', log)
  const deliveryQueue = createDeliveryQueue(connection, 'uj')
  try {
    const startedAt = performance.now()
    for (let n = 0; n < count; n += 1) {
      const sessionId = sessionIds[n % sessionIds.length] ?? ''
      const published = await store.events.append(sessionId, [{ type: 'message.sent', data: { message: { id: `msg_${n}` } } }])
      announceEvents({ deliveryQueue, log }, published)
      await delay(Math.max(0, startedAt + ((n + 1) * 1_000) / perSecond - performance.now()))
    }
    await deliveryQueue.close()
  } finally {
    await closeRedis(connection)
  }
}

function quantile(values: number[], part: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * part)] ?? 0
}
