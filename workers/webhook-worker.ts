// A webhook worker: delivers events to endpoints until it is told to stop.
import { loadConfig } from '../src/platform/config.ts'
import { runProcess } from '../src/platform/lifecycle.ts'
import { createLog } from '../src/platform/log.ts'
import { SharedMetrics } from '../src/platform/metrics.ts'
import { closeRedis, connectRedis, requireRedis } from '../src/platform/redis.ts'
import { createKeyRing } from '../src/store/key-ring.ts'
import { openStore } from '../src/store/open-store.ts'
import { createGuardPolicy } from '../src/webhooks/guard-url.ts'
import { runDeliveries } from '../src/webhooks/run-deliveries.ts'

/** Below the process's own deadline of 15 s, as long as a receiver may take otherwise. */
const finishMs = 12_000

const config = loadConfig()
const log = createLog({ process: 'webhook-worker', level: config.logLevel, pretty: process.stdout.isTTY })

await runProcess({ name: 'webhook-worker', log }, async (life) => {
  const guardPolicy = createGuardPolicy(config.webhookAllowedNetworks)
  await requireRedis(config)
  const store = await openStore(config, log)
  life.onStop('store', () => store.close())
  const secretBox = createKeyRing(config, log)
  const redis = connectRedis(config, 'worker', log)
  life.onStop('redis', () => closeRedis(redis))
  const metrics = new SharedMetrics({ redis, prefix: config.redisPrefix, name: 'webhook-worker', hostId: config.hostId, log })
  life.onStop('metrics', () => metrics.close())
  const deliveries = runDeliveries({ store, redis, prefix: config.redisPrefix, secretBox, guardPolicy, log })
  life.onStop('deliveries', () => deliveries.close(finishMs))
})
