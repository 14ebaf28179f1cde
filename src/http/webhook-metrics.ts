// Metrics of webhooks that any API process can answer for: the breakers, from Redis.
import type { Redis } from 'ioredis'
import { Gauge, type Registry } from 'prom-client'
import type { Log } from '../platform/log.ts'
import { countBreakers } from '../webhooks/breaker-state.ts'

interface MetricsDeps {
  redis: Redis
  prefix: string
  log: Log
}

export function addWebhookMetrics(registry: Registry, { redis, prefix, log }: MetricsDeps): void {
  const breakers = new Gauge({
    name: 'ujumbe_webhook_breakers',
    help: 'Endpoints whose breaker is not closed, by state.',
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      breakers.reset()
      try {
        for (const [state, count] of Object.entries(await countBreakers(redis, prefix))) breakers.set({ state }, count)
      } catch (err) {
        log.debug({ err, metric: 'ujumbe_webhook_breakers' }, 'metrics.read_failed')
      }
    },
  })
}
