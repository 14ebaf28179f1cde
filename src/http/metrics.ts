// Prometheus metrics of an API process: its own requests, and what it asks of the store when it is scraped.
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Log } from '../platform/log.ts'
import type { Store } from '../store/store.ts'

export interface HttpMetrics {
  registry: Registry
  observe: (labels: { method: string; route: string; status: number }, seconds: number) => void
}

export function createMetrics(store: Pick<Store, 'sessions' | 'deliveries'>, log: Log): HttpMetrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'ujumbe_' })
  const requests = new Histogram({
    name: 'ujumbe_http_request_duration_seconds',
    help: 'Requests by route, method and status.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.025, 0.1, 0.5, 2, 10],
    registers: [registry],
  })
  const counted = (name: string, help: string, count: () => Promise<Record<string, number>>) =>
    new Gauge({
      name,
      help,
      labelNames: ['status'],
      registers: [registry],
      async collect() {
        this.reset()
        try {
          for (const [status, value] of Object.entries(await count())) this.set({ status }, value)
        } catch (err) {
          log.debug({ err, metric: name }, 'metrics.read_failed')
        }
      },
    })
  counted('ujumbe_sessions', 'Sessions by status.', () => store.sessions.countByStatus())
  counted('ujumbe_webhook_deliveries', 'Deliveries kept, by status.', () => store.deliveries.countByStatus())
  return { registry, observe: (labels, seconds) => requests.observe(labels, seconds) }
}
