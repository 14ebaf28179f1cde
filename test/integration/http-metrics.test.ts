// What /metrics shows while the store or Redis is away, or answers only in part: nothing rather than a wrong number.
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { BreakerStates } from '../../src/webhooks/breaker-state.ts'
import { breakerDefaults } from '../../src/webhooks/endpoint-breaker.ts'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'
import { waitFor } from '../support/wait.ts'
import { silentLog } from '../support/webhooks.ts'

let api: TestApi
beforeEach(async () => {
  api = await startTestApi()
})
afterEach(() => api.close())

const ofStore = ['sessions', 'sessions_by_health', 'webhook_deliveries', 'messages_unfinished', 'oldest_waiting_seconds']
const ofRedis = ['workers', 'workers_draining', 'worker_capacity', 'worker_heartbeat_age_seconds', 'queue_jobs']
const ofMemory = ['redis_memory_bytes', 'redis_memory_limit_bytes']
const ofBoth = ['sessions_unheld']

const readMetrics = async () => (await api.call('GET', '/metrics', { key: api.adminKey })).text
const up = (store: 0 | 1, redis: 0 | 1) => [`ujumbe_store_up ${store}`, `ujumbe_redis_up ${redis}`]

/** Names of all gauges of the fleet that have a number. */
function shown(text: string): string[] {
  const names = [...ofStore, ...ofRedis, ...ofMemory, ...ofBoth]
  return names.filter((name) => new RegExp(`^ujumbe_${name}[ {]`, 'm').test(text))
}

test('all is shown, each level of health too, while both answer', async () => {
  const text = await readMetrics()
  expect(shown(text)).toEqual([...ofStore, ...ofRedis, ...ofMemory, ...ofBoth])
  for (const line of up(1, 1)) expect(text).toContain(line)
  for (const level of ['healthy', 'recovering', 'critical'])
    expect(text).toContain(`ujumbe_sessions_by_health{level="${level}"} 0`)
})

test('with the store away nothing of it is shown, and no worker seems to have gone', async () => {
  await readMetrics()
  await api.store.close()
  const text = await readMetrics()
  expect(shown(text)).toEqual([...ofRedis, ...ofMemory])
  for (const line of up(0, 1)) expect(text).toContain(line)
})

test('with Redis away nothing of it is shown, and all comes back with it', async () => {
  await readMetrics()
  await api.redis.stop()
  const text = await readMetrics()
  expect(shown(text)).toEqual(ofStore)
  for (const line of up(1, 0)) expect(text).toContain(line)
  await api.redis.start()
  await waitFor('all is shown again', async () => shown(await readMetrics()).length === 13)
})

test('metrics that cannot be read do not say that the store or Redis is down', async () => {
  const plain = new DatabaseSync(api.storePath)
  plain.exec('ALTER TABLE sessions RENAME COLUMN claimable TO claimed; DROP TABLE delivery_counts')
  plain.close()
  const text = await readMetrics()
  expect(shown(text)).toEqual([...ofRedis, ...ofMemory])
  for (const line of up(1, 1)) expect(text).toContain(line)
  expect(api.logged()).toContain('metrics.read_failed')
})

test('an endpoint that is switched off or deleted has no breaker that anybody need be told of', async () => {
  const connection = connectRedis(api.redis.target, 'worker', silentLog)
  const states = new BreakerStates(connection, api.prefix)
  const open = async () => /^ujumbe_webhook_breakers\{state="open"\} (\d+)$/m.exec(await readMetrics())?.[1]
  const endpoints: string[] = []
  for (const url of ['http://127.0.0.1:9000/one', 'http://127.0.0.1:9000/two']) {
    const { body } = await api.call('POST', '/v1/webhooks', { key: api.adminKey, json: { url, events: ['*'] } })
    endpoints.push(body.id)
    await states.fail(body.id, Date.now(), breakerDefaults, true)
  }
  expect(await open()).toBe('2')
  await api.call('PATCH', `/v1/webhooks/${endpoints[0]}`, { key: api.adminKey, json: { enabled: false } })
  expect(await open()).toBe('1')
  await api.call('DELETE', `/v1/webhooks/${endpoints[1]}`, { key: api.adminKey })
  expect(await open()).toBe('0')
  await closeRedis(connection)
})

test('a level of health that no session has any more falls to 0', async () => {
  const { id } = await makeSession(api)
  const inLevel = async (level: string) => {
    await api.store.sessions.setHealth(id, { score: 10, level, reason: null, at: Date.now() }, () => [])
    return readMetrics()
  }
  expect(await inLevel('critical')).toContain('ujumbe_sessions_by_health{level="critical"} 1')
  const text = await inLevel('recovering')
  expect(text).toContain('ujumbe_sessions_by_health{level="recovering"} 1')
  expect(text).toContain('ujumbe_sessions_by_health{level="critical"} 0')
})
