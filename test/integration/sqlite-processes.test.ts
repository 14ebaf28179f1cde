// SQLite under several processes: all write at once, any may be killed, nobody's event loop waits for another's lock.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { newMessage, tells, tellsNothing } from '../support/records.ts'
import { createHeldSession, openTestSqlite, type TestSqlite } from '../support/store.ts'
import { waitFor } from '../support/wait.ts'

const program = join(import.meta.dirname, '..', 'support', 'sqlite-writer-process.ts')
let t: TestSqlite
let running: ChildProcess[] = []

beforeEach(async () => {
  t = await openTestSqlite()
})
afterEach(async () => {
  for (const child of running.splice(0)) child.kill('SIGKILL')
  await t.close()
})

interface Writer {
  child: ChildProcess
  /** Its exit code, once all its output has been read. */
  ended: Promise<number | null>
  /** `<message id> <sequence>` of each write that was told to be safe. */
  confirmed: string[]
  failed: () => string
}
function startWriter(sessionId: string, count = Infinity): Writer {
  const child = spawn(process.execPath, [program, t.path, sessionId, String(count)], { stdio: ['ignore', 'pipe', 'pipe'] })
  running.push(child)
  const confirmed: string[] = []
  let failed = ''
  createInterface({ input: child.stdout }).on('line', (line) => confirmed.push(line))
  child.stderr.on('data', (text: Buffer) => (failed += text.toString()))
  const ended = once(child, 'close').then(([code]) => code as number | null)
  return { child, ended, confirmed, failed: () => failed }
}
async function allMessages(sessionId: string) {
  const unfinished = await t.store.messages.listUnfinished(sessionId, { limit: 100_000 })
  return unfinished.map(({ id, sequence }) => `${id} ${sequence}`)
}
function integrity(): unknown {
  const db = new DatabaseSync(t.path)
  try {
    return db.prepare('PRAGMA integrity_check').all()
  } finally {
    db.close()
  }
}

test('four processes write one session at once: every write stands, sequences and events without a gap', async () => {
  const id = await createHeldSession(t.store)
  const writers = [1, 2, 3, 4].map(() => startWriter(id, 100))
  for (const { ended, failed } of writers) expect([await ended, failed()]).toEqual([0, ''])
  const confirmed = writers.flatMap((writer) => writer.confirmed)
  expect(confirmed).toHaveLength(400)
  const stored = await allMessages(id)
  expect(stored.toSorted()).toEqual(confirmed.toSorted())
  expect(stored.map((line) => Number(line.split(' ')[1]))).toEqual(Array.from({ length: 400 }, (_, i) => i + 1))
  expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 400 })
  const events = await t.store.events.list({ sessionId: id, limit: 1_000 })
  expect(events.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 400 }, (_, i) => i + 1))
})

test('kill -9 in the middle of writing: what was confirmed is there, counters and rows agree, the others go on', async () => {
  const id = await createHeldSession(t.store)
  const survivor = startWriter(id)
  const confirmed: string[] = []
  for (let round = 0; round < 4; round++) {
    const victim = startWriter(id)
    await waitFor('the victim to write', () => victim.confirmed.length > 10 + round * 7)
    victim.child.kill('SIGKILL')
    await victim.ended
    confirmed.push(...victim.confirmed.filter((line) => /^msg_\w{26} \d+$/.test(line)))
    const before = survivor.confirmed.length
    await waitFor('the survivor to go on', () => survivor.confirmed.length > before + 10)
  }
  survivor.child.kill('SIGKILL')
  await survivor.ended
  const stored = new Set(await allMessages(id))
  expect([...confirmed, ...survivor.confirmed.slice(0, -1)].filter((line) => !stored.has(line))).toEqual([])
  expect(await t.store.messages.queueState(id)).toMatchObject({ depth: stored.size })
  const sequences = [...stored].map((line) => Number(line.split(' ')[1]))
  expect(sequences).toEqual(Array.from({ length: stored.size }, (_, i) => i + 1))
  expect((await t.store.events.list({ sessionId: id, limit: 100_000 })).length).toBe(stored.size)
  expect(integrity()).toEqual([{ integrity_check: 'ok' }])
})

test('several processes may open a new file at once', async () => {
  await t.close()
  const writers = [1, 2, 3, 4].map(() => startWriter('ses_none', 1))
  for (const { ended, failed } of writers) {
    await ended
    // Each got as far as asking for a session that is not there.
    expect(failed()).toContain('no_session')
  }
  expect(integrity()).toEqual([{ integrity_check: 'ok' }])
})

test('a lock held by another process delays a write, never the event loop, and ends in store_unavailable', async () => {
  const id = await createHeldSession(t.store)
  const holder = new DatabaseSync(t.path, { timeout: 0 })
  holder.exec('BEGIN IMMEDIATE')
  try {
    const accept = () =>
      t.store.messages.accept({ message: newMessage(id), idempotency: null, maxQueueDepth: 10, now: 1 }, tells('message.queued'))
    let turns = 0
    const counting = setInterval(() => (turns += 1), 10)
    const refused = accept()
    expect(await t.store.sessions.get(id)).not.toBeNull()
    await expect(refused).rejects.toMatchObject({ code: 'store_unavailable' })
    clearInterval(counting)
    // Five seconds of waiting: had the loop been blocked, no timer would have run.
    expect(turns).toBeGreaterThan(50)

    const delayed = accept()
    setTimeout(() => holder.exec('COMMIT'), 50)
    expect(await delayed).toMatchObject({ outcome: 'accepted', message: { sequence: 1 } })
  } finally {
    holder.close()
  }
})

test('one write that throws undoes nothing of the writes that share its transaction', async () => {
  const id = await createHeldSession(t.store)
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, i) =>
      t.store.messages.accept(
        { message: newMessage(id), idempotency: null, maxQueueDepth: 100, now: 1 },
        i % 5 === 2
          ? () => {
              throw new Error(`broken ${i}`)
            }
          : tells('message.queued'),
      ),
    ),
  )
  expect(results.map(({ status }) => status === 'rejected')).toEqual(results.map((_, i) => i % 5 === 2))
  expect((await allMessages(id)).map((line) => Number(line.split(' ')[1]))).toEqual(Array.from({ length: 16 }, (_, i) => i + 1))
  expect(await t.store.messages.queueState(id)).toMatchObject({ depth: 16 })
  expect((await t.store.events.list({ sessionId: id, limit: 100 })).map(({ sequence }) => sequence)).toEqual(
    Array.from({ length: 16 }, (_, i) => i + 1),
  )
})

test('writes submitted before a close are finished by it', async () => {
  const id = await createHeldSession(t.store)
  const other = await t.another()
  const writes = Array.from({ length: 10 }, () =>
    other.messages.accept({ message: newMessage(id), idempotency: null, maxQueueDepth: 100, now: 1 }, tellsNothing),
  )
  await Promise.all([...writes, other.close()])
  expect(await allMessages(id)).toHaveLength(10)
})
