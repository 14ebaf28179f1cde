// What one health tick costs: sessions (1,000 unless told) with messages and connection histories, scored in this process on SQLite and Redis.
// `node scripts/bench/health.ts [--sessions 1000] [--messages 30] [--json]`; ends by itself, with 1 when a tick misses the goal.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { SessionScorer } from '../../src/health/score-sessions.ts'
import { describeMessage } from '../../src/messages/message-events.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { recordConnection, recordReconnect } from '../../src/sessions/connection-history.ts'
import { trafficKey, workersKey } from '../../src/sessions/session-keys.ts'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import { newMessage, newSession } from '../../test/support/records.ts'
import { startTestRedis } from '../../test/support/redis.ts'

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '1000' },
    messages: { type: 'string', default: '30' },
    json: { type: 'boolean', default: false },
  },
})
const sessionCount = Math.min(20_000, Math.max(1, Number(values.sessions) || 1_000))
const messageCount = Math.min(1_000, Math.max(0, Number(values.messages) || 0))
/** CPU of a tick for each 1,000 sessions. */
const goalMs = 2_000
const prefix = 'bench'
const results: { tick: string; sessions: number; cpuMs: number; wallMs: number; redisCommands: number }[] = []

const dataDir = await mkdtemp(join(tmpdir(), 'uj-bench-'))
const testRedis = await startTestRedis()
const log = pino({ level: 'silent' })
const redis = connectRedis(testRedis.target, 'worker', log)
const store = await openSqliteStore(join(dataDir, 'ujumbe.db'))
try {
  const ids: string[] = []
  const now = Date.now()
  for (let i = 0; i < sessionCount; i += 1) {
    const input = newSession({ status: 'connected', createdAt: now - i, lastConnectedAt: now - 3_600_000, lastEventAt: now })
    ids.push(input.session.id)
    await store.sessions.create(input, () => [])
  }
  const outcomes = ['read', 'delivered', 'delivered', 'sent'] as const
  for (const id of ids) await addMessages(id)
  const report = async () => {
    await redis.zadd(workersKey(prefix), now, 'worker')
    await redis.hset(trafficKey(prefix, 'worker'), Object.fromEntries(ids.map((id) => [id, Date.now()])))
  }
  const scorer = new SessionScorer({ store, redis, prefix, announce: () => undefined, log })
  await report()
  await measure('first: nothing scored, nothing remembered', scorer)
  await measure('nothing happened', scorer)
  await Promise.all(ids.map((id) => addMessages(id, 1)))
  await measure('each session has had a message', scorer)
  await Promise.all(ids.map((id) => addWaiting(id)))
  await measure('each session has a message waiting', scorer)
  await measure('the same, in another scheduler', new SessionScorer({ store, redis, prefix, announce: () => undefined, log }))
  for (const [i, id] of ids.entries()) {
    if (i % 10 > 0) continue
    for (let n = 0; n < 12; n += 1) await recordReconnect({ redis, prefix }, id, { reason: 'connection_closed', at: Date.now() })
    for (let n = 0; n < 24; n += 1)
      await recordConnection({ redis, prefix }, id, { to: n % 2 === 0 ? 'down' : 'up', at: Date.now() })
  }
  await measure('one in ten flaps', scorer)

  async function addMessages(sessionId: string, count = messageCount): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const at = Date.now() - 300_000 + i
        const status = outcomes[i % outcomes.length] ?? 'sent'
        const reachedAt = { queued: at, sending: at, sent: at + 100, ...(status === 'sent' ? {} : { [status]: at + 500 }) }
        const message = newMessage(sessionId, { createdAt: at, status: 'scheduled' })
        await store.messages.accept(
          { message: { ...message, status, reachedAt }, idempotency: null, maxQueueDepth: 1e6, now: at },
          ({ id }) => [{ type: 'message.sent', data: { message: { id } } }],
        )
      }),
    )
  }

  async function addWaiting(sessionId: string): Promise<void> {
    const message = newMessage(sessionId)
    await store.messages.accept({ message, idempotency: null, maxQueueDepth: 1e6, now: Date.now() }, describeMessage)
  }

  async function measure(tick: string, by: SessionScorer): Promise<void> {
    const commands = await commandCount()
    const cpu = process.cpuUsage()
    const start = performance.now()
    const sessions = await by.tick(new AbortController().signal)
    const { user, system } = process.cpuUsage(cpu)
    results.push({
      tick,
      sessions,
      cpuMs: Math.round((user + system) / 1_000),
      wallMs: Math.round(performance.now() - start),
      redisCommands: (await commandCount()) - commands - 1,
    })
  }

  async function commandCount(): Promise<number> {
    return Number(/total_commands_processed:(\d+)/.exec(await redis.info('stats'))?.[1])
  }
} finally {
  await closeRedis(redis)
  await store.close()
  await testRedis.close()
  await rm(dataDir, { recursive: true, force: true })
}
const worstMs = Math.round((Math.max(...results.map(({ cpuMs }) => cpuMs)) * 1_000) / sessionCount)
const isMet = worstMs <= goalMs
if (values.json)
  console.log(JSON.stringify({ sessions: sessionCount, messagesEach: messageCount, goalMs, worstMs, isMet, results }))
else {
  console.table(results)
  console.log(`dearest tick per 1,000 sessions: ${worstMs} ms of CPU; goal ≤ ${goalMs} ms: ${isMet ? 'met' : 'missed'}`)
}
process.exitCode = isMet ? 0 : 1
