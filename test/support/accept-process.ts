// A process that accepts one message and is killed between the store and the queue.
import { pino } from 'pino'
import { acceptMessage } from '../../src/messages/accept-message.ts'
import { connectRedis } from '../../src/platform/redis.ts'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import { textRequest } from './send-rig.ts'
import { waitFor } from './wait.ts'

const [storePath = '', redisSocketPath = '', prefix = '', sessionId = '', body = ''] = process.argv.slice(2)
const log = pino({ level: 'silent' })
const redis = connectRedis({ redisUrl: undefined, redisSocketPath }, 'producer', log)
await waitFor('Redis', () => redis.status === 'ready')
const { sessions, messages } = await openSqliteStore(storePath)
const queues = {
  add: () => {
    process.kill(process.pid, 'SIGKILL')
    return new Promise<void>(() => undefined)
  },
}
const deps = { sessions, messages, queues, redis, prefix, announce: () => undefined, log }
await acceptMessage(deps, { sessionId, request: textRequest('+254 712 345 678', body), idempotencyKey: null })
