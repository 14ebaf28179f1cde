// The health of a session over HTTP: for whom, in which windows, and with what history.
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { recordConnection, recordReconnect, recordWatchdogAction } from '../../src/sessions/connection-history.ts'
import { historySinceKey } from '../../src/sessions/session-keys.ts'
import type { HealthSample } from '../../src/store/health-store.ts'
import { makeKey, makeSession, startTestApi, type TestApi } from '../support/api.ts'

let api: TestApi
let redis: Redis
const hour = 3_600_000
beforeAll(async () => {
  api = await startTestApi()
  redis = new Redis({ path: api.redis.socketPath })
})
afterAll(async () => {
  redis.disconnect()
  await api.close()
})

const connect = async (id: string) => {
  const now = Date.now()
  await api.store.sessions.raiseEpoch(id, 1)
  await api.store.sessions.update(id, 1, { status: 'connected', lastConnectedAt: now, lastEventAt: now }, () => [])
}

test('a session key reads its own, by the short path too; an admin names the session; `read` is enough and needed', async () => {
  const [mine, other] = [await makeSession(api), await makeSession(api)]
  const own = await api.call('GET', `/v1/sessions/${mine.id}/health`, { key: mine.key })
  expect(own.body).toMatchObject({ score: 60, level: 'recovering', reasons: [{ code: 'not_paired', points: 40 }], history: [] })
  expect((await api.call('GET', '/v1/health', { key: mine.key })).body.reasons).toEqual(own.body.reasons)
  expect((await api.call('GET', `/v1/sessions/${other.id}/health`, { key: mine.key })).status).toBe(404)
  expect((await api.call('GET', `/v1/sessions/${mine.id}/health`, { key: api.adminKey })).status).toBe(200)
  expect((await api.call('GET', '/v1/health', { key: api.adminKey })).status).toBe(400)
  const sender = await makeKey(api, mine, ['send'])
  expect((await api.call('GET', '/v1/health', { key: sender })).body.code).toBe('missing_scope')
  expect((await api.call('GET', '/v1/health?window=2h', { key: mine.key })).status).toBe(400)
})

test('signals and history are the window’s, the score is the last hour’s', async () => {
  const { id, key } = await makeSession(api)
  await connect(id)
  const now = Date.now()
  const deps = { redis, prefix: api.prefix }
  await redis.set(historySinceKey(api.prefix), 1)
  for (const [hoursAgo, to] of [
    [150, 'up'],
    [100, 'down'],
    [75, 'up'],
  ] as const) {
    await recordConnection(deps, id, { at: now - hoursAgo * hour, to })
  }
  for (const hoursAgo of [100, 20, 0.01]) {
    await recordReconnect(deps, id, { at: now - hoursAgo * hour, reason: 'deaf' })
    await recordWatchdogAction(deps, id, { at: now - hoursAgo * hour, action: 'reconnect', reason: 'deaf' })
  }
  const sample = (hoursAgo: number, score: number, reason?: string): HealthSample => ({
    sessionId: id,
    at: Math.round(now - hoursAgo * hour),
    score,
    level: 'healthy',
    reasons: [],
    signals: {},
    actions: reason === undefined ? [] : [{ action: 'reconnect', reason }],
  })
  await api.store.health.append([sample(100, 40, 'deaf'), sample(20, 90), sample(0.5, 97)])
  const read = async (window: string) => (await api.call('GET', `/v1/health?window=${window}`, { key })).body
  const [recent, day, week] = [await read('1h'), await read('24h'), await read('7d')]
  expect([recent, day, week].map(({ signals }) => signals.reconnectCount)).toEqual([1, 2, 3])
  expect([recent, day, week].map(({ history }) => history.length)).toEqual([1, 2, 3])
  expect(week.history[0]).toMatchObject({ score: 40, actions: [{ action: 'reconnect', reason: 'deaf' }] })
  expect([recent, day, week].map(({ score }) => score)).toEqual([97, 97, 97])
  expect(recent.signals.uptimePercent).toBe(100)
  expect(week.signals.uptimePercent).toBeCloseTo((125 / 150) * 100, 0)
})

test('a session shows its score as it was last written', async () => {
  const { id, key } = await makeSession(api)
  expect((await api.call('GET', `/v1/sessions/${id}`, { key })).body.health).toBeNull()
  const reason = { code: 'reconnects', points: 33, text: 'Lost its connection again and again (5 times lately).' }
  await api.store.sessions.setHealth(id, { score: 67, level: 'recovering', reason, at: 1_000 }, () => [])
  expect((await api.call('GET', `/v1/sessions/${id}`, { key })).body.health).toEqual({
    score: 67,
    level: 'recovering',
    reason,
    at: '1970-01-01T00:00:01.000Z',
  })
})
