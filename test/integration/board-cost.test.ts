// What Bull Board costs the API at a thousand sessions that all have something in their send queue.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SendQueues, sendQueueName } from '../../src/messages/send-queue.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { startTestApi, type TestApi } from '../support/api.ts'
import { newMessage, newSession, tellsNothing } from '../support/records.ts'
import { waitFor } from '../support/wait.ts'
import { silentLog } from '../support/webhooks.ts'

const sessionCount = 1_000
/** Milliseconds of this process, its garbage collection included. */
const mostCpuMs = 100

let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.close())

test('one look at the board takes less than 100 ms of CPU, with queues that have come since the last', async () => {
  const redis = connectRedis(api.redis.target, 'worker', silentLog)
  const queues = new SendQueues(redis, api.prefix)
  const sessions = Array.from({ length: sessionCount }, () => newSession())
  const accept = async (sessionId: string, count: number) => {
    for (let i = 0; i < count; i += 1) {
      const message = newMessage(sessionId)
      await api.store.messages.accept({ message, idempotency: null, maxQueueDepth: 100, now: Date.now() }, tellsNothing)
      await queues.add(sessionId, message.id, 'normal')
    }
  }
  for (const session of sessions) await api.store.sessions.create(session, () => [])
  await Promise.all(sessions.map(({ session }) => accept(session.id, 1)))

  const look = async () => {
    const before = process.cpuUsage()
    const { body } = await api.call('GET', '/queues/api/queues', { key: api.adminKey })
    const { user, system } = process.cpuUsage(before)
    return { names: body.queues.map(({ name }: { name: string }) => name) as string[], cpuMs: (user + system) / 1_000 }
  }
  const costs: number[] = []
  for (const { session } of sessions.slice(-5)) {
    await accept(session.id, 5)
    // The queues are looked for anew every two seconds: the look that shows this one is the dear kind.
    const { names, cpuMs } = await waitFor(
      'the deepest queue is shown',
      async () => {
        const seen = await look()
        return seen.names.includes(sendQueueName(session.id)) && seen
      },
      10_000,
      250,
    )
    expect(names.length).toBeLessThan(60)
    costs.push(cpuMs)
  }
  expect(Math.min(...costs), `CPU-ms of each: ${costs.map(Math.round).join(', ')}`).toBeLessThan(mostCpuMs)
  queues.close()
  await closeRedis(redis)
})
