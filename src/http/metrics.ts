// What Prometheus reads: the numbers of every process, and those of the whole fleet that are asked of Redis and the store at each reading.
import type { Redis } from 'ioredis'
import { Gauge, Registry } from 'prom-client'
import { countUnheld, readWorkers } from '../fleet/read-fleet.ts'
import { levels as healthLevels } from '../health/weights.ts'
import { withDeadline } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import { histogram, SharedMetrics } from '../platform/metrics.ts'
import { createQueue } from '../platform/queue.ts'
import { pingRedis } from '../platform/redis.ts'
import type { Store } from '../store/store.ts'
import { deadLetterQueueName } from '../webhooks/dead-letter-queue.ts'
import { firstAttemptQueueName, replayQueueName, retryQueueName } from '../webhooks/delivery-queue.ts'

interface MetricsDeps {
  store: Pick<Store, 'sessions' | 'deliveries' | 'endpoints' | 'health' | 'ping'>
  /** A 'producer' connection. */
  redis: Redis
  prefix: string
  hostId?: string
  log: Log
}

export interface HttpMetrics {
  /** Of the fleet: only what no single process knows. */
  registry: Registry
  render(): Promise<string>
  close(): Promise<void>
}

const requestSeconds = histogram(
  'ujumbe_http_request_duration_seconds',
  'Requests by route, method and status.',
  [0.005, 0.025, 0.1, 0.5, 2, 10],
  ['method', 'route', 'status'],
)

/** Gauges that are known together: `read` asks, and what it answers with sets them. */
interface Reading {
  values: Gauge[]
  read: () => Promise<() => void>
}

/** One after the other, and together below the ten seconds that Prometheus waits: MongoDB alone may take eight to say that it is away. */
const pingMs = 3_000
const readMs = 4_000
/** Of these the scores are shown by name; the others only count. */
const sickestCount = 10
const queueNames = [firstAttemptQueueName, retryQueueName, replayQueueName, deadLetterQueueName]

export function observeHttp(labels: { method: string; route: string; status: number }, seconds: number): void {
  requestSeconds.observe(labels, seconds)
}

export function createMetrics(deps: MetricsDeps): HttpMetrics {
  const { store, redis, prefix, log } = deps
  const registry = new Registry()
  const queues = queueNames.map((name) => createQueue(name, redis, prefix))
  const shared = new SharedMetrics({ ...deps, name: 'api' })
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Gauge<Label>({ name: `ujumbe_${name}`, help, labelNames, registers: [registry] })

  const sessions = gauge('sessions', 'Sessions by status.', ['status'])
  const deliveries = gauge('webhook_deliveries', 'Deliveries kept, by status.', ['status'])
  const endpoints = gauge(
    'webhook_endpoints',
    'Endpoints by state: enabled, disabled (it failed, or said that it is gone), off (asked for).',
    ['state'],
  )
  const levels = gauge(
    'sessions_by_health',
    'Scored sessions by level of health, without those that are off because somebody asked for it.',
    ['level'],
  )
  const scores = gauge('session_score', `Scores of the ${sickestCount} sickest of these that are not at 100.`, ['session_id'])
  const unfinished = gauge('messages_unfinished', 'Messages that wait or are on their way, by status.', ['status'])
  const oldest = gauge('oldest_waiting_seconds', 'How long the oldest message that may leave now waits in a connected session.')
  const jobs = gauge('queue_jobs', 'Jobs of the fixed queues, by state.', ['queue', 'state'])
  const workers = gauge('workers', 'Session workers that live.')
  const draining = gauge('workers_draining', 'Session workers that hand over and stop.')
  const capacity = gauge('worker_capacity', 'Sessions that the living workers can hold.')
  const unheld = gauge('sessions_unheld', 'Sessions that a worker should hold and none does.')
  const heartbeat = gauge('worker_heartbeat_age_seconds', 'Age of the oldest heartbeat among living workers.')
  const storeUp = gauge('store_up', '1 while the store answers.')
  const redisUp = gauge('redis_up', '1 while Redis answers.')
  const memory = gauge('redis_memory_bytes', 'Memory that Redis uses.')
  const memoryLimit = gauge(
    'redis_memory_limit_bytes',
    'Memory that Redis may use: its maxmemory, or without one all of its machine.',
  )

  const inStore: Reading = {
    values: [sessions, deliveries, endpoints, levels, scores, unfinished, oldest],
    read: async () => {
      const [byStatus, kept, byState, overview] = await Promise.all([
        store.sessions.countByStatus(),
        store.deliveries.countByStatus(),
        store.endpoints.countByState(),
        store.health.overview(Date.now(), sickestCount),
      ])
      return () => {
        for (const [status, count] of Object.entries(byStatus)) sessions.set({ status }, count)
        for (const [status, count] of Object.entries(kept)) deliveries.set({ status }, count)
        for (const [state, count] of Object.entries(byState)) endpoints.set({ state }, count)
        for (const { level } of healthLevels) levels.set({ level }, overview.levels[level] ?? 0)
        for (const { sessionId, score } of overview.sickest) scores.set({ session_id: sessionId }, score)
        for (const [status, count] of Object.entries(overview.unfinished)) unfinished.set({ status }, count)
        oldest.set(overview.oldestReadyAt === null ? 0 : Math.max(0, (Date.now() - overview.oldestReadyAt) / 1_000))
      }
    },
  }
  const living: Reading = {
    values: [workers, draining, capacity, heartbeat],
    read: async () => {
      const fleet = await readWorkers({ redis, prefix })
      return () => {
        workers.set(fleet.workers.length)
        draining.set(fleet.workers.filter((worker) => worker.draining).length)
        capacity.set(fleet.totals.capacity)
        heartbeat.set(Math.max(0, ...fleet.workers.map(({ heartbeatAgeSeconds }) => heartbeatAgeSeconds)))
      }
    },
  }
  const inMemory: Reading = {
    values: [memory, memoryLimit],
    read: async () => {
      const sizes = await readMemory(redis)
      return () => {
        memory.set(sizes.used)
        memoryLimit.set(sizes.limit)
      }
    },
  }
  const inQueues: Reading = {
    values: [jobs],
    read: async () => {
      const states = ['waiting', 'active', 'delayed', 'failed', 'prioritized'] as const
      const counts = await Promise.all(queues.map((queue) => queue.getJobCounts(...states)))
      return () => {
        for (const [i, { name: queue }] of queues.entries())
          for (const [state, count] of Object.entries(counts[i] ?? {})) jobs.set({ queue, state }, count)
      }
    },
  }
  const unclaimed: Reading = {
    values: [unheld],
    read: async () => {
      const count = await countUnheld({ redis, prefix, sessions: store.sessions })
      return () => unheld.set(count)
    },
  }
  /** What cannot be read is left out, and takes nothing else with it: an old number would be a wrong one, and so would be 0. */
  const observe = async ({ values, read }: Reading, isUp: boolean) => {
    try {
      if (!isUp) return values.forEach(clear)
      const show = await withDeadline(read(), readMs)
      values.forEach(clear)
      show()
    } catch (err) {
      values.forEach(clear)
      log.warn({ err }, 'metrics.read_failed')
    }
  }
  /** That a number cannot be read does not say whether accepting works; a ping does. */
  const ping = async (up: Gauge, answer: Promise<unknown>) => {
    const [{ status }] = await Promise.allSettled([withDeadline(answer, pingMs)])
    up.set(status === 'fulfilled' ? 1 : 0)
    return status === 'fulfilled'
  }
  return {
    registry,
    render: async () => {
      const [hasStore, hasRedis] = await Promise.all([ping(storeUp, store.ping()), ping(redisUp, pingRedis(redis))])
      await Promise.all([
        observe(inStore, hasStore),
        ...[living, inMemory, inQueues].map((reading) => observe(reading, hasRedis)),
        observe(unclaimed, hasStore && hasRedis),
      ])
      return shared.render(registry)
    },
    close: async () => {
      await shared.close()
      for (const queue of queues) await queue.close()
    },
  }
}

/** `reset` alone would leave a gauge without labels at 0. */
function clear(gauge: Gauge): void {
  gauge.reset()
  gauge.remove({})
}

async function readMemory(redis: Redis): Promise<{ used: number; limit: number }> {
  const info = await redis.info('memory')
  const valueOf = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0)
  return { used: valueOf('used_memory'), limit: valueOf('maxmemory') || valueOf('total_system_memory') }
}
