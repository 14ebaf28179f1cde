// What the store says of a held session, and what is told of it, while the store cannot be written to: every step, in the order it happened.
import { DatabaseSync } from 'node:sqlite'
import type { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { SessionState } from '../../src/fleet/session-state.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { Lease } from '../../src/sessions/lease.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { createHeldSession, openTestSqlite, type TestSqlite } from '../support/store.ts'
import { waitFor } from '../support/wait.ts'

const log = pino({ level: 'silent' })
let server: TestRedis
let redis: Redis
let sqlite: TestSqlite
beforeAll(async () => {
  ;[server, sqlite] = await Promise.all([startTestRedis(), openTestSqlite()])
  redis = connectRedis(server.target, 'producer', log)
  await waitFor('Redis', () => redis.status === 'ready')
})
afterAll(async () => {
  await closeRedis(redis)
  await Promise.all([server.close(), sqlite.close()])
})

let state: SessionState
let told: string[]
let stored: () => Promise<string>
beforeEach(async () => {
  const sessionId = await createHeldSession(sqlite.store)
  told = []
  const lease = new Lease({ sessionId, epoch: 1, incarnation: 'w' }, { isTrusted: () => true })
  const deps = { redis, prefix: 'state', ttlMs: 60_000, store: sqlite.store, ending: new AbortController().signal, log }
  const announce = (published: { event: { data: Record<string, unknown> } }[]) =>
    void told.push(...published.map(({ event }) => namesOf(event.data['session'] as Named)))
  state = new SessionState({ ...deps, announce, onStale: () => told.push('stale') }, lease)
  stored = async () => {
    const record = await sqlite.store.sessions.get(sessionId)
    return record ? namesOf(record) : 'gone'
  }
  await state.read()
})

/** Outside a field that is null may be absent. */
interface Named {
  status: string
  statusReason?: string | null
}

function namesOf({ status, statusReason }: Named): string {
  return `${status}/${statusReason ?? null}`
}

/** While it runs nobody else can write; SQLite's writers wait. */
async function whileLocked(work: () => Promise<void>): Promise<void> {
  const writer = new DatabaseSync(sqlite.path)
  writer.exec('BEGIN IMMEDIATE')
  try {
    await work()
  } finally {
    writer.exec('ROLLBACK')
    writer.close()
  }
}

test('a socket that ends while `connected` waits for the store is told and stored as reconnecting', async () => {
  await state.change('reconnecting', 'connection_lost')
  const changes: Promise<void>[] = []
  await whileLocked(async () => {
    changes.push(state.change('connected', null, { lastConnectedAt: 1 }), state.change('reconnecting', 'connection_lost'))
    await state.shown()
  })
  await Promise.all(changes)
  expect(await stored()).toBe('reconnecting/connection_lost')
  expect(told).toEqual(['reconnecting/connection_lost', 'connected/null', 'reconnecting/connection_lost'])
})

test('what is no news when its turn comes is told once', async () => {
  const changes: Promise<void>[] = []
  await whileLocked(async () => {
    changes.push(state.change('reconnecting', 'unreachable'), state.change('reconnecting', 'unreachable'))
    await state.shown()
  })
  await Promise.all(changes)
  expect(told).toEqual(['reconnecting/unreachable'])
})

test('a look at the session finds what was changed before it', async () => {
  const changes: Promise<void>[] = []
  await whileLocked(async () => {
    changes.push(state.change('connected', null))
    await state.shown()
  })
  expect(await state.read()).toMatchObject({ status: 'connected' })
  await Promise.all(changes)
})
