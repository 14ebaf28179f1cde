// `node scripts/webhook-outages.ts`: two receivers fail for minutes under the schedule in force — one is away for 90 s, one answers 500 for five
// minutes — while events go on; says when everything had arrived. For by hand: about ten minutes, more than a test may take.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { waitFor } from '../test/support/wait.ts'
import { closeRedis, connectRedis } from '../src/platform/redis.ts'
import { createDeliveryQueue } from '../src/webhooks/delivery-queue.ts'
import { announceEvents } from '../src/webhooks/publish-event.ts'
import { createFleetEndpoint } from './bench/rig/fleet-endpoint.ts'
import { startProductFleet } from './bench/rig/product-fleet.ts'

const second = 1_000
const everyMs = 200
const awaySeconds = 90
const unwellSeconds = 300
/** Whoever failed four times waits for ten minutes; a breaker for two at most. */
const recoveryMs = 900 * second

interface Outage {
  name: string
  seconds: number
  server: Server
  url: string
  status: number
  /** Answered with 2xx, by webhook-id. */
  arrived: Map<string, number>
  repeated: number
  refused: number
  port: number
}

async function listen(outage: Pick<Outage, 'server'>, port: number): Promise<number> {
  await new Promise<void>((resolve) => outage.server.listen(port, '127.0.0.1', resolve))
  const address = outage.server.address()
  return typeof address === 'object' && address ? address.port : port
}

async function receiver(name: string, seconds: number): Promise<Outage> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      const id = String(request.headers['webhook-id'])
      if (outage.status !== 204) outage.refused += 1
      else if (outage.arrived.has(id)) outage.repeated += 1
      else outage.arrived.set(id, Date.now())
      response.writeHead(outage.status).end()
    })
  })
  const outage: Outage = { name, seconds, server, url: '', status: 204, arrived: new Map(), repeated: 0, refused: 0, port: 0 }
  outage.port = await listen(outage, 0)
  outage.url = `http://127.0.0.1:${outage.port}/`
  return outage
}

async function close({ server }: Outage): Promise<void> {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}

const dir = mkdtempSync(join(tmpdir(), 'uj-outages-'))
const log = pino({ level: 'silent' })
const fleet = await startProductFleet({ dir, apps: ['webhook-worker', 'scheduler', 'api'] })
const redis = connectRedis({ redisUrl: fleet.redis.url, redisSocketPath: '' }, 'worker', log)
const deliveryQueue = createDeliveryQueue(redis, 'uj')
const outages = await Promise.all([receiver('away', awaySeconds), receiver('answers 500', unwellSeconds)])
const [away, unwell] = outages
try {
  await fleet.addSessions(Array.from({ length: 5 }, () => null))
  for (const { url } of outages) await createFleetEndpoint(fleet, url)
  const eventIds: string[] = []
  const ending = new AbortController()
  const events = (async () => {
    for (let n = 0; !ending.signal.aborted; n += 1) {
      const sessionId = fleet.sessionIds[n % fleet.sessionIds.length] ?? ''
      const published = await fleet.store.events.append(sessionId, [{ type: 'message.sent', data: { message: { n } } }])
      eventIds.push(...published.map(({ event }) => event.id))
      announceEvents({ deliveryQueue, log }, published)
      await sleep(everyMs)
    }
  })()
  const recovered = async (outage: Outage) => {
    const startedAt = performance.now()
    const atReturn = eventIds.length
    const all = () => eventIds.slice(0, atReturn).every((id) => outage.arrived.has(id))
    await waitFor(`all events at the receiver that ${outage.name}`, all, recoveryMs, 250)
    const seconds = Math.round((performance.now() - startedAt) / second)
    console.log(
      `${outage.name} for ${outage.seconds} s: all ${atReturn} events had arrived ${seconds} s after; refused ${outage.refused} requests, got ${outage.repeated} twice`,
    )
  }
  await sleep(5 * second)
  await Promise.all([
    (async () => {
      await close(away)
      await sleep(awaySeconds * second)
      await listen(away, away.port)
      await recovered(away)
    })(),
    (async () => {
      unwell.status = 500
      await sleep(unwellSeconds * second)
      unwell.status = 204
      await recovered(unwell)
    })(),
  ])
  ending.abort()
  await events
  await waitFor('the last events', () => outages.every(({ arrived }) => arrived.size === eventIds.length), recoveryMs, 250)
  const counts = await fleet.store.deliveries.countByStatus()
  console.log(`${eventIds.length} events to two receivers: ${JSON.stringify(counts)}`)
  if (counts.succeeded !== eventIds.length * 2) process.exitCode = 1
} finally {
  await deliveryQueue.close()
  await closeRedis(redis)
  await Promise.all(outages.map(close))
  await fleet.close()
  rmSync(dir, { recursive: true, force: true })
}
