// The health tick on a real store and a real Redis: what it keeps, what it tells, what it spares.
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readHealth } from '../../src/health/read-health.ts'
import { SessionScorer } from '../../src/health/score-sessions.ts'
import { reserve } from '../../src/messages/pacing-script.ts'
import {
  listTroubled,
  readConnectionHistories,
  recordReconnect,
  recordWatchdogAction,
} from '../../src/sessions/connection-history.ts'
import { reconnectsKey, trafficKey, workersKey } from '../../src/sessions/session-keys.ts'
import type { PublishedEvent } from '../../src/store/event-store.ts'
import type { SessionRecord } from '../../src/store/session-store.ts'
import { newMessage, newSession, tells } from '../support/records.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { openTestSqlite, type TestStore } from '../support/store.ts'
import { waitFor } from '../support/wait.ts'

let testRedis: TestRedis
let testStore: TestStore
let redis: Redis
const prefix = 'tick'
const published: PublishedEvent[] = []
const signal = new AbortController().signal
beforeAll(async () => {
  ;[testRedis, testStore] = await Promise.all([startTestRedis(), openTestSqlite()])
  redis = new Redis({ path: testRedis.socketPath })
})
afterAll(async () => {
  redis.disconnect()
  await Promise.all([testRedis.close(), testStore.close()])
})

const newScorer = () =>
  new SessionScorer({
    store: testStore.store,
    redis,
    prefix,
    announce: (events) => published.push(...events),
    log: pino({ level: 'silent' }),
  })
const addSession = async (changes: Partial<SessionRecord> = {}) => {
  const now = Date.now()
  const input = newSession({ status: 'connected', lastConnectedAt: now - 600_000, lastEventAt: now, ...changes })
  await testStore.store.sessions.create(input, () => [])
  return input.session.id
}
const heard = async (...ids: string[]) => {
  await redis.zadd(workersKey(prefix), Date.now(), 'w1')
  await redis.hset(trafficKey(prefix, 'w1'), Object.fromEntries(ids.map((id) => [id, Date.now()])))
}
/** What was noted in a tick's own millisecond is told by the next tick. */
const noteAction = async (id: string, at: number) => {
  await recordWatchdogAction({ redis, prefix }, id, { at, action: 'reconnect', reason: 'deaf' })
  const notedAt = (await listTroubled({ redis, prefix }, 0)).get(id) ?? Infinity
  await waitFor('the next millisecond of Redis', async () => {
    const [seconds, micros] = await redis.time()
    return Number(seconds) * 1_000 + Number(micros) / 1_000 > notedAt + 1
  })
}
const healthOf = async (id: string) => (await testStore.store.sessions.get(id))?.health
const told = (id: string) => published.filter(({ event }) => event.sessionId === id)

test('a first score that is good tells nobody; what does not change is not written again; a new level is told once', async () => {
  const id = await addSession()
  await heard(id)
  const scorer = newScorer()
  await scorer.tick(signal)
  const first = await healthOf(id)
  expect(first).toMatchObject({ score: 100, level: 'healthy', reason: null })
  await scorer.tick(signal)
  expect(await healthOf(id)).toEqual(first)
  expect(await testStore.store.health.list(id, 0, 10)).toHaveLength(1)
  expect(told(id)).toEqual([])

  for (let n = 0; n < 5; n += 1) await recordReconnect({ redis, prefix }, id, { at: Date.now(), reason: 'connection_closed' })
  await noteAction(id, Date.now())
  // Another scheduler's turn.
  await newScorer().tick(signal)
  await scorer.tick(signal)
  expect(await healthOf(id)).toMatchObject({ level: 'recovering', reason: { code: 'reconnects' } })
  expect(told(id)).toMatchObject([
    { event: { type: 'session.health', data: { session: { id, health: { level: 'recovering' } } } } },
  ])
  const [, second, ...more] = await testStore.store.health.list(id, 0, 10)
  expect(second?.actions).toEqual([{ action: 'reconnect', reason: 'deaf' }])
  expect(more).toEqual([])
})

test('a session that was never connected has no score, one that is deleted or unknown disturbs nothing', async () => {
  const fresh = await addSession({ status: 'pairing', lastConnectedAt: null })
  const gone = await addSession({ status: 'logged_out' })
  await testStore.store.sessions.request(gone, 'delete', Date.now())
  const out = await addSession({ status: 'logged_out', statusReason: 'device_removed' })
  await newScorer().tick(signal)
  expect(await healthOf(fresh)).toBeNull()
  expect(await healthOf(gone)).toBeNull()
  expect(await healthOf(out)).toMatchObject({ score: 0, level: 'critical', reason: { code: 'logged_out', points: 100 } })
})

test('a connected session that no worker reports is ill only after a while, whichever scheduler looks', async () => {
  const id = await addSession()
  await newScorer().tick(signal)
  expect(await healthOf(id)).toMatchObject({ level: 'healthy' })
  await redis.hset(`${prefix}:fleet:unheard`, id, Date.now() - 60_000)
  await newScorer().tick(signal)
  expect(await healthOf(id)).toMatchObject({ level: 'recovering', reason: { code: 'not_connected' } })
  await heard(id)
  await newScorer().tick(signal)
  expect(await redis.hget(`${prefix}:fleet:unheard`, id)).toBeNull()
})

test('a tick that is interrupted, and one that finds sessions gone, forget nobody else that is unheard', async () => {
  const ids = new Set<string>()
  for (let n = 0; n < 260; n += 1) ids.add(await addSession())
  const key = `${prefix}:fleet:unheard`
  const since = String(Date.now() - 300_000)
  await redis.hset(key, Object.fromEntries([...ids, 'ses_gone'].map((id) => [id, since])))
  const stop = new AbortController()
  const { sessions, health } = testStore.store
  const stopping: typeof health = {
    ...health,
    work: (...args) => {
      stop.abort()
      return health.work(...args)
    },
  }
  const deps = { redis, prefix, announce: () => undefined, log: pino({ level: 'silent' }) }
  expect(await new SessionScorer({ store: { sessions, health: stopping }, ...deps }).tick(stop.signal)).toBe(200)
  expect(await redis.hlen(key)).toBeGreaterThan(ids.size)
  await newScorer().tick(signal)
  for (const id of ids) expect(await healthOf(id)).toMatchObject({ level: 'critical', reason: { code: 'not_connected' } })
  await heard(...ids)
  await newScorer().tick(signal)
  const left = await redis.hkeys(key)
  expect(left.filter((id) => ids.has(id) || id === 'ses_gone')).toEqual([])
})

test('a queue that moves is not called stalled because later messages passed it long ago', async () => {
  const id = await addSession({ lastConnectedAt: Date.now() - 24 * 3_600_000, createdAt: Date.now() - 24 * 3_600_000 })
  await heard(id)
  const { messages, health, sessions } = testStore.store
  await sessions.raiseEpoch(id, 1)
  const minute = 60_000
  const now = Date.now()
  let count = 0
  const accept = async (createdAt: number, priority: 'high' | 'bulk') => {
    count += 1
    const message = newMessage(id, { createdAt, priority, recipient: `2547${String(count).padStart(8, '0')}@s.whatsapp.net` })
    await messages.accept({ message, idempotency: null, maxQueueDepth: 1_000, now: createdAt }, tells('message.queued'))
    return message.id
  }
  const send = async (messageId: string, at: number) => {
    await messages.take({ sessionId: id, id: messageId, epoch: 1, now: at }, tells('message.sending'))
    await messages.advance(id, messageId, { to: 'sent', at: at + 300 }, tells('message.sent'))
    await messages.advance(id, messageId, { to: 'delivered', at: at + 900 }, tells('message.delivered'))
  }
  const campaign: string[] = []
  for (let i = 0; i < 40; i += 1) campaign.push(await accept(now - 180 * minute + i, 'bulk'))
  for (let i = 0; i < 110; i += 1) {
    const at = now - 40 * minute + i * 8_000
    await send(await accept(at, 'high'), at + 50)
  }
  const scorer = newScorer()
  await scorer.tick(signal)
  expect(await healthOf(id)).toMatchObject({ reason: { code: 'queue_stalled' } })
  await send(campaign[0] ?? '', now - 3_000)
  // One that remembers, and one that does not.
  for (const each of [scorer, newScorer()]) {
    await sessions.setHealth(id, { score: 50, level: 'recovering', reason: null, at: now - 60_000 }, () => [])
    await each.tick(signal)
    expect(await healthOf(id)).toMatchObject({ score: 100, level: 'healthy', reason: null })
  }
  expect((await health.latest(id))?.signals).toMatchObject({ stalledSeconds: 0, queueDepth: 39 })
})

test('a queue that waits for its turn in the fleet is not stalled; one that waits while others need not is', async () => {
  const hour = 3_600_000
  const id = await addSession({ lastConnectedAt: Date.now() - 24 * hour, createdAt: Date.now() - 24 * hour })
  await heard(id)
  const { messages, health } = testStore.store
  const message = newMessage(id, { createdAt: Date.now() - hour })
  await messages.accept({ message, idempotency: null, maxQueueDepth: 9, now: Date.now() }, tells('message.queued'))
  const ask = (sessionId: string) =>
    reserve(redis, prefix, {
      sessionId,
      messageId: `msg_${sessionId}`,
      recipient: 'somebody',
      intervalMs: null,
      burst: 1,
      recipientMs: null,
      fleetIntervalMs: 1_000,
      previous: null,
    })
  const stalled = async () => {
    await newScorer().tick(signal)
    return (await health.latest(id))?.signals['stalledSeconds']
  }
  const busy = Array.from({ length: 25 }, (_, i) => `ses_busy_${i}`)
  for (const each of busy) await ask(each)
  expect(await stalled()).toBe(0)
  const view = await readHealth({ store: testStore.store, redis, prefix }, (await testStore.store.sessions.get(id))!, '1h')
  expect(view.signals.stalledSeconds).toBe(0)
  await redis.del(`${prefix}:fleet:pace`)
  for (const each of busy.slice(0, 3)) await ask(each)
  await testStore.store.sessions.setHealth(id, { score: 1, level: 'critical', reason: null, at: 0 }, () => [])
  expect(await stalled()).toBeGreaterThan(3_000)
})

test('notes of a worker whose clock is behind are seen like any other, and so are its actions', async () => {
  const id = await addSession()
  await heard(id)
  const deps = { redis, prefix }
  const scorer = newScorer()
  const reconnect = (at: number) => recordReconnect(deps, id, { at, reason: 'connection_closed' })
  await reconnect(Date.now() - 20_000)
  await scorer.tick(signal)
  const seen = async () => (await testStore.store.health.latest(id))?.signals['reconnectCount']
  expect(await seen()).toBe(1)
  const behind = Date.now() - 90_000
  for (let n = 0; n < 6; n += 1) await reconnect(behind + n)
  await noteAction(id, behind)
  await scorer.tick(signal)
  expect(await seen()).toBe(7)
  expect((await testStore.store.health.latest(id))?.actions).toEqual([{ action: 'reconnect', reason: 'deaf' }])
  await scorer.tick(signal)
  const told = (await testStore.store.health.list(id, 0, 10)).flatMap(({ actions }) => actions)
  expect(told).toHaveLength(1)
})

test('each note of a session is newer than the one before, whatever the clock of Redis does', async () => {
  const deps = { redis, prefix: 'order' }
  const ahead = Date.now() + 60_000
  await redis.zadd('order:fleet:troubled', ahead, 'ses_a')
  const newest: number[] = []
  for (let n = 0; n < 20; n += 1) {
    await recordReconnect(deps, 'ses_a', { at: 1, reason: 'r' })
    newest.push((await listTroubled(deps, 0)).get('ses_a') ?? 0)
  }
  expect(newest[0]).toBeGreaterThan(ahead)
  expect(new Set(newest).size).toBe(20)
  expect(newest).toEqual(newest.toSorted((a, b) => a - b))
})

test('samples of sessions that were scored together are not all written in one tick, and none is later than five minutes', async () => {
  const ids: string[] = []
  for (let n = 0; n < 60; n += 1) ids.push(await addSession())
  await heard(...ids)
  const writtenAfter = async (gapMs: number) => {
    const at = Date.now() - gapMs
    for (const id of ids)
      await testStore.store.sessions.setHealth(id, { score: 100, level: 'healthy', reason: null, at }, () => [])
    await newScorer().tick(signal)
    const healths = await Promise.all(ids.map(healthOf))
    return healths.filter((health) => health?.at !== at).length
  }
  expect(await writtenAfter(200_000)).toBe(0)
  const some = await writtenAfter(270_000)
  expect(some).toBeGreaterThan(0)
  expect(some).toBeLessThan(60)
  expect(await writtenAfter(301_000)).toBe(60)
})

test('more sessions than a page are all scored, in a few commands', async () => {
  const ids: string[] = []
  for (let n = 0; n < 450; n += 1) ids.push(await addSession())
  await heard(...ids)
  const scorer = newScorer()
  const count = async () => Number(/total_commands_processed:(\d+)/.exec(await redis.info('stats'))?.[1])
  const before = await count()
  await scorer.tick(signal)
  expect((await count()) - before).toBeLessThan(60)
  for (const id of ids) expect((await healthOf(id))?.level).toBe('healthy')
  const aborted = new AbortController()
  aborted.abort()
  expect(await scorer.tick(aborted.signal)).toBe(0)
})

test('histories are bounded, and only those who had trouble lately are asked about', async () => {
  const deps = { redis, prefix: 'bounds' }
  const now = Date.now()
  for (let n = 0; n < 210; n += 1) await recordReconnect(deps, 'ses_busy', { at: now - 210 + n, reason: 'r' })
  await recordReconnect(deps, 'ses_old', { at: now, reason: 'r' })
  await redis.zadd('bounds:fleet:troubled', now - 7_200_000, 'ses_old')
  const [busy] = await readConnectionHistories(deps, ['ses_busy'])
  expect(busy?.reconnects).toHaveLength(200)
  expect(busy?.reconnects[0]?.at).toBe(now - 1)
  expect(await listTroubled(deps, now - 3_600_000)).toEqual(new Map([['ses_busy', expect.any(Number)]]))
  expect(await redis.pttl(reconnectsKey('bounds', 'ses_busy'))).toBeGreaterThan(0)
})
