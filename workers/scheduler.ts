// The scheduler: work that repeats. Any number of them may run; each time of a tick is run by one.
import { SessionScorer } from '../src/health/score-sessions.ts'
import { requeueStranded } from '../src/messages/requeue-stranded.ts'
import { runDueMessages } from '../src/messages/run-due-messages.ts'
import { SendQueues } from '../src/messages/send-queue.ts'
import { runBeats } from '../src/platform/beat.ts'
import { loadConfig } from '../src/platform/config.ts'
import { keepLogs } from '../src/platform/keep-logs.ts'
import { runProcess } from '../src/platform/lifecycle.ts'
import { createLog } from '../src/platform/log.ts'
import { SharedMetrics } from '../src/platform/metrics.ts'
import { closeRedis, connectRedis, requireRedis } from '../src/platform/redis.ts'
import type { Tick } from '../src/platform/run-tick.ts'
import { runTicks } from '../src/platform/tick.ts'
import type { PublishedEvent } from '../src/store/event-store.ts'
import { openStore } from '../src/store/open-store.ts'
import { retention, sweepStore } from '../src/store/sweep-store.ts'
import { advanceReplays } from '../src/webhooks/advance-replays.ts'
import { createDeliveryQueue, createReplayQueue, createRetryQueue } from '../src/webhooks/delivery-queue.ts'
import { EndpointRooms } from '../src/webhooks/endpoint-room.ts'
import { announceEvents } from '../src/webhooks/publish-event.ts'
import { retryDeliveries } from '../src/webhooks/retry-deliveries.ts'

const finishMs = 10_000
const config = loadConfig()
const log = createLog({ process: 'scheduler', level: config.logLevel, pretty: process.stdout.isTTY })

await runProcess({ name: 'scheduler', log }, async (life) => {
  // One runs on each machine. Before anything that may be away: a process that starts over and over fills its log.
  const logs = keepLogs({ directories: config.logDirectories, maxBytes: config.logFileBytes, log })
  life.onStop('logs', () => logs.close())
  await requireRedis(config)
  const store = await openStore(config, log)
  life.onStop('store', () => store.close())
  const redis = connectRedis(config, 'worker', log)
  life.onStop('redis', () => closeRedis(redis))
  const prefix = config.redisPrefix
  const metrics = new SharedMetrics({ redis, prefix, name: 'scheduler', hostId: config.hostId, log })
  life.onStop('metrics', () => metrics.close())
  const deliveryQueue = createDeliveryQueue(redis, prefix)
  const retryQueue = createRetryQueue(redis, prefix)
  const replayQueue = createReplayQueue(redis, prefix)
  const rooms = new EndpointRooms(redis, prefix, log)
  const replayTurn = { after: '' }
  const sendQueues = new SendQueues(redis, prefix)
  life.onStop('queues', async () => {
    sendQueues.close()
    await deliveryQueue.close()
    await retryQueue.close()
    await replayQueue.close()
  })

  const announce = (published: PublishedEvent[]) => announceEvents({ deliveryQueue, log }, published)
  const scorer = new SessionScorer({ store, redis, prefix, announce, log })

  const beats: Tick[] = [
    {
      name: 'webhook-retries',
      everyMs: 1_000,
      deadlineMs: 20_000,
      run: (signal) =>
        retryDeliveries({ deliveries: store.deliveries, rooms, deliveryQueue, retryQueue, replayQueue, log }, signal),
    },
    {
      name: 'webhook-replays',
      everyMs: 1_000,
      deadlineMs: 20_000,
      run: (signal) => advanceReplays({ ...store, replayQueue, turn: replayTurn, log }, signal),
    },
    {
      name: 'due-messages',
      everyMs: 500,
      deadlineMs: 20_000,
      run: (signal) => runDueMessages({ messages: store.messages, queues: sendQueues, redis, prefix, announce, log }, signal),
    },
  ]
  const ticks: Tick[] = [
    {
      name: 'requeue-stranded',
      everyMs: 10_000,
      deadlineMs: 20_000,
      run: () =>
        requeueStranded({
          messages: store.messages,
          redis,
          prefix,
          announce,
          log,
        }),
    },
    {
      name: 'health',
      everyMs: 10_000,
      deadlineMs: 20_000,
      run: (signal) => scorer.tick(signal),
    },
    {
      name: 'retention',
      everyMs: 60_000,
      deadlineMs: 30_000,
      run: (signal) => sweepStore(store, retention, signal),
    },
  ]
  const running = [runBeats({ redis, prefix, log }, beats), await runTicks({ redis, prefix, log }, ticks)]
  life.onStop('ticks', async () => {
    await Promise.all(running.map((each) => each.close(finishMs)))
  })
})
