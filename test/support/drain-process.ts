// A worker with one session and a scripted socket, which writes each frame to a Redis list before it acks it after a while.
import { pino } from 'pino'
import { SendQueueDrain } from '../../src/messages/drain-queue.ts'
import { SendQueues } from '../../src/messages/send-queue.ts'
import { connectRedis } from '../../src/platform/redis.ts'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import { acked, ScriptedClient } from './scripted-client.ts'

const [storePath = '', redisSocketPath = '', prefix = '', sessionId = '', epoch = '', ackAfterMs = '', framesKey = ''] =
  process.argv.slice(2)
const log = pino({ level: 'silent' })
const redis = connectRedis({ redisUrl: undefined, redisSocketPath }, 'worker', log)
const { messages, sessions } = await openSqliteStore(storePath)
const drain = new SendQueueDrain(
  {
    messages,
    sessions,
    fleetPerSecond: null,
    announce: () => undefined,
    queues: new SendQueues(redis, prefix),
    previews: { previewOf: () => Promise.resolve(null) },
    incarnation: `process-${process.pid}`,
    lease: { epoch: Number(epoch), isTrusted: () => true },
    onSocketDead: () => undefined,
    log,
    ackTimeoutMs: 20_000,
  },
  sessionId,
)
const client = new ScriptedClient(async ({ whatsappId }) => {
  await redis.rpush(framesKey, whatsappId)
  await new Promise((resolve) => setTimeout(resolve, Number(ackAfterMs)))
  return acked()
})
drain.attach(client)
