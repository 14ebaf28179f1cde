// The SQLite file itself: its version, its mode, its size, and that no question asked of it reads a whole table.
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { SqliteDatabase } from '../../src/store/sqlite/database.ts'
import { createSqliteStore, openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import type { Store } from '../../src/store/store.ts'
import { newEndpoint, newInbound, newMessage, tells, tellsNothing } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'

let dir: string
let path: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'uj-sqlite-'))
  path = join(dir, 'data', 'ujumbe.db')
})
afterEach(() => rm(dir, { recursive: true, force: true }))

test('a file of a newer version is refused in one sentence and left as it is', async () => {
  await (await openSqliteStore(path)).close()
  const db = new DatabaseSync(path)
  db.exec('PRAGMA user_version = 99')
  db.close()
  await expect(openSqliteStore(path)).rejects.toMatchObject({
    code: 'configuration',
    message: expect.stringMatching(/^The database has schema version 99, .* start a newer one\.$/),
  })
})

test('data survives closing and opening, and opening changes nothing', async () => {
  const first = await openSqliteStore(path)
  const id = await createHeldSession(first)
  await first.close()
  const second = await openSqliteStore(path)
  expect(await second.sessions.get(id)).not.toBeNull()
  await second.close()
})

test('what cannot be opened is said in one sentence', async () => {
  await writeFile(join(dir, 'file'), 'x')
  await expect(openSqliteStore(join(dir, 'file', 'ujumbe.db'))).rejects.toMatchObject({ code: 'configuration' })
  await writeFile(join(dir, 'other.db'), 'this is no database, but long enough to be looked at'.repeat(50))
  await expect(openSqliteStore(join(dir, 'other.db'))).rejects.toMatchObject({ code: 'store_unavailable' })
})

test('the file and its side files are for the owner alone', async () => {
  const store = await openSqliteStore(path)
  await createHeldSession(store)
  const modes = await Promise.all(['', '-wal', '-shm'].map(async (end) => (await stat(path + end)).mode & 0o777))
  expect(modes).toEqual([0o600, 0o600, 0o600])
  await store.close()
})

test('the write-ahead log stays bounded under steady writing', async () => {
  const store = await openSqliteStore(path)
  const id = await createHeldSession(store)
  let largest = 0
  for (let i = 0; i < 60; i++) {
    const batch = Array.from({ length: 20 }, () =>
      store.messages.accept(
        {
          message: newMessage(id, { content: { text: { body: 'x'.repeat(4_000) } } }),
          idempotency: null,
          maxQueueDepth: 1e9,
          now: 1,
        },
        tells('message.queued'),
      ),
    )
    await Promise.all(batch)
    largest = Math.max(largest, (await stat(`${path}-wal`)).size)
  }
  expect((await stat(path)).size).toBeGreaterThan(8e6)
  expect(largest).toBeLessThan(16e6)
  await store.close()
})

/** Asks everything once, so that every statement is prepared. */
async function askEverything(store: Store): Promise<void> {
  const id = await createHeldSession(store)
  const message = newMessage(id)
  const idempotency = { key: 'k', bodyHash: 'b', expiresAt: 9e12 }
  const endpoint = newEndpoint({ sessionId: id })
  await store.endpoints.create(endpoint)
  await store.messages.accept({ message, idempotency, maxQueueDepth: 9, now: 1 }, tells('message.queued'))
  await store.messages.accept({ message: newMessage(id), idempotency, maxQueueDepth: 9, now: 1 }, tells('message.queued'))
  await store.messages.hold({ sessionId: id, id: message.id, epoch: 1, heldBy: 'session', heldUntil: 5 })
  await store.messages.position(id, message.id)
  await store.messages.take({ sessionId: id, id: message.id, epoch: 1, now: 9 }, tellsNothing)
  await store.messages.advanceByWhatsappId(id, [message.whatsappId], { to: 'sent', at: 9 }, tellsNothing)
  await store.messages.storeInbound(newInbound(id, 'W'), tells('message.received'))
  await store.messages.findByWhatsappId(id, 'NONE')
  await store.messages.listDue(1, 1)
  await store.messages.listExpired(1, 1)
  await store.messages.promote(id, ['msg_none'], 1, tellsNothing)
  await store.messages.expire(id, ['msg_none'], 1, tellsNothing)
  const error = { code: 'x', detail: '' }
  await store.messages.failUnfinished({ sessionId: id, epoch: 1, error, at: 1, limit: 1 }, tellsNothing)
  await store.messages.forgetContacts(id, 1)
  await store.messages.listUnfinished(id, { limit: 1 })
  await store.messages.listSessionsWithStale(9e12, 1)
  await store.messages.listDeepestQueues(1)
  await store.messages.queueState(id)
  const filters = [{}, { direction: 'inbound' as const }, { status: 'sent' as const }, { recipient: 'r' }]
  for (const filter of filters) await store.messages.list({ sessionId: id, limit: 1, ...filter })
  await store.messages.list({ limit: 1 })
  await store.messages.listById(id, [message.id])
  await store.messages.listScheduled(id, 1)
  const types = ['message.sent' as const]
  const [event] = await store.events.list({ limit: 1 })
  const afterCursor = event?.cursor ?? ''
  for (const query of [{ types }, { sessionId: id, types }, { sessionId: id, afterCursor }, { sessionId: id, afterCursor: '99' }])
    await store.events.list({ limit: 1, ...query })
  await store.events.get('evt_x')
  for (const query of [{}, { types }, { sessionId: id }, { sessionId: id, types }])
    await store.events.read({ limit: 1, after: '1', ...query })
  for (const sessionId of [id, undefined]) await store.events.placeBefore(1, sessionId)
  const replay = { id: 'rpl_1', endpointId: endpoint.id, sessionId: id, since: 1, until: 1, types, status: 'running' as const }
  await store.replays.create({ ...replay, place: null, deliveryCount: 0, createdAt: 1, updatedAt: 1 })
  const [running] = await store.replays.listRunning({ limit: 1 })
  if (running) await store.replays.advance(running, { place: '1', status: 'running', at: 1 }, [])
  await store.replays.list({ endpointId: endpoint.id, limit: 1 })
  await store.replays.countWaiting('rpl_1')
  await store.replays.stop(endpoint.id, 'rpl_1', 1)
  await store.sessions.list({ limit: 1, status: 'pending' })
  await store.sessions.list({ limit: 1 })
  await store.sessions.listClaimable({ limit: 1 })
  await store.sessions.countByStatus()
  await store.sessions.update(id, 1, {}, tellsNothing)
  await store.keys.findByHash('x')
  await store.keys.list({ sessionId: id, limit: 1 })
  await store.keys.rotate(id, 'x', { hash: 'y', prefix: 'z' })
  await store.keys.remove(id, 'x')
  for (const query of [{ sessionId: id }, { sessionId: null }, {}]) await store.endpoints.list({ limit: 1, ...query })
  await store.endpoints.update(endpoint.id, {})
  await store.endpoints.countByState()
  const { data } = await store.deliveries.list({ endpointId: endpoint.id, limit: 1 })
  await store.deliveries.list({ endpointId: endpoint.id, limit: 1, status: 'dead' })
  const attempt = { at: 1, status: 1, durationMs: 1, error: null, answer: null }
  await store.deliveries.recordAttempts([
    { deliveryId: data[0]?.id ?? '', attempt, next: { status: 'failed', nextAttemptAt: 1 } },
  ])
  await store.deliveries.listDueEndpoints({ now: 1, limit: 1 })
  await store.deliveries.listDue(endpoint.id, 1, 1)
  await store.deliveries.postpone([{ deliveryId: 'x', attemptCount: 0, nextAttemptAt: 1 }])
  await store.deliveries.bury(['x'], 'x', 1)
  await store.deliveries.countByStatus(endpoint.id)
  await store.credentials.write(
    id,
    1,
    [
      { type: 't', id: 'i', value: Uint8Array.of(1) },
      { type: 't', id: 'j', value: null },
    ],
    { masterKeyId: 'm', wrapped: Uint8Array.of(1) },
  )
  await store.credentials.read(id, 't', ['i'])
  await store.credentials.rewrap(id, 'm', { masterKeyId: 'm', wrapped: Uint8Array.of(1) })
  await store.credentials.erase(id, 1)
  await store.health.append([{ sessionId: id, at: 1, score: 1, level: 'x', reasons: [], signals: {}, actions: [] }])
  await store.health.latest(id)
  await store.health.list(id, 0, 1)
  await store.health.merge(id, [
    { into: { sessionId: id, at: 1, score: 1, level: 'x', reasons: [], signals: {}, actions: [] }, from: [1, 2] },
  ])
  const queued = newMessage(id)
  await store.messages.accept({ message: queued, idempotency: null, maxQueueDepth: 10, now: 1 }, tellsNothing)
  await store.health.work([id], 1)
  await store.health.sent(id, 0, 9, 1)
  await store.health.acked(id, [queued.id])
  await store.sweep({ messagesMs: 0, deliveriesMs: 0, eventsMs: 0, healthSamplesMs: 0 }, Date.now() + 1e6, 1)
  await store.sessions.remove(id, 1)
  await store.endpoints.remove(endpoint.id)
}

/** Read whole on purpose: a handful of rows, and a row per session where a person looks at the queues. An index of depths would cost each accept. */
const readWhole = ['FROM sqlite_sequence WHERE', 'FROM session_counters WHERE depth > 0']

test('every question is answered by an index, without reading or sorting a table', async () => {
  const db = await SqliteDatabase.open(path)
  await askEverything(createSqliteStore(db))
  const plain = new DatabaseSync(path)
  const asked = db.preparedTexts.filter((text) => !readWhole.some((part) => text.includes(part)))
  const offending = asked.flatMap((text) => {
    const plan = plain.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...Array.from(text.matchAll(/\?/g), () => null))
    const steps = plan.map((row) => String(row['detail']))
    return steps
      .filter((step) => /^SCAN (?!json_each|.* USING (COVERING )?INDEX)|TEMP B-TREE/.test(step))
      .map((step) => `${step}: ${text}`)
  })
  plain.close()
  await db.close()
  expect(db.preparedTexts.length).toBeGreaterThan(70)
  expect(offending).toEqual([])
})

test('messages that are asked for by their ids are found by them, and not looked for in all of their session', async () => {
  const db = await SqliteDatabase.open(path)
  await askEverything(createSqliteStore(db))
  const plain = new DatabaseSync(path)
  const asked = db.preparedTexts.filter((text) => /FROM messages\s+WHERE id IN/.test(text))
  const steps = asked.map((text) => String(plain.prepare(`EXPLAIN QUERY PLAN ${text}`).all(null, null)[0]?.['detail']))
  plain.close()
  await db.close()
  expect(steps).toEqual([expect.stringMatching(/\(id=\?\)$/), expect.stringMatching(/\(id=\?\)$/)])
})
