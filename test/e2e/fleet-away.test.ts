// Redis or the store is away for a while: nothing is accepted that is not stored, nothing is sent without a lease, everything resumes.
import { setTimeout as sleep } from 'node:timers/promises'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { quarantineKey } from '../../src/sessions/session-keys.ts'
import { areConnected, pairSessions } from '../support/holders.ts'
import { arrivals, sendSteadily, shownAndAccepted } from '../support/steady-traffic.ts'
import { waitFor } from '../support/wait.ts'
import { logged, prefix, startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'

const ttlMs = 3_000
let rig: WorkerRig
let ids: string[]
let person: string
let lastPerson = 254711000000
beforeAll(async () => {
  rig = await startWorkerRig({ UJUMBE_LEASE_TTL_MS: String(ttlMs) })
  await rig.startWorker()
  await rig.startWorker()
  ids = await pairSessions(rig, 4)
}, 120_000)
beforeEach(async () => {
  person = String((lastPerson += 1))
  await rig.sandbox.client.addPhone({ phoneNumber: person, autoRead: true })
})
afterAll(async () => {
  if (process.env['SHOW_LOG']) console.log(rig.workers.map((worker) => worker.lines.join('\n')).join('\n'))
  await rig.close()
})

const outages = [
  { name: 'Redis is killed and comes back after 10 s', down: () => rig.redis.kill(), up: () => rig.redis.start(), seconds: 10 },
  { name: 'Redis hangs for 10 s', down: async () => rig.redis.pause(), up: async () => rig.redis.resume(), seconds: 10 },
  { name: 'Redis is away for 60 s', down: () => rig.redis.stop(), up: () => rig.redis.start(), seconds: 60 },
]

test.each(outages)(
  '$name',
  async ({ down, up, seconds }) => {
    const traffic = sendSteadily(rig, person, ids, 100)
    await arrivals(rig, person, 12)
    await down()
    await waitFor('no socket is open', async () => (await rig.sandbox.client.stats()).socketsOpen === 0, 20_000)
    const shownBefore = (await rig.sandbox.client.phone(person)).counts.frames
    await sleep(seconds * 1_000 - ttlMs)
    expect((await rig.sandbox.client.phone(person)).counts.frames).toBe(shownBefore)
    await up()
    await waitFor('all connected', () => areConnected(rig, ids).catch(() => false), 60_000)
    const { counts, refusedCount } = await traffic.stop()
    expect(refusedCount).toBeGreaterThan(0)
    const { shown, accepted } = await shownAndAccepted(rig, person, counts)
    expect(shown).toEqual(accepted)
  },
  180_000,
)

test('a worker is killed while Redis is away, and Redis comes back empty', async () => {
  const traffic = sendSteadily(rig, person, ids, 100)
  await arrivals(rig, person, 12)
  const epochs = await Promise.all(ids.map(async (id) => (await rig.session(id)).epoch))
  await rig.redis.stop()
  await rig.workers[0]?.end('SIGKILL')
  await rig.redis.start()
  await waitFor('Redis to be emptied', () => rig.commands.flushall().catch(() => false))
  await waitFor('all connected', () => areConnected(rig, ids).catch(() => false), 60_000)
  const { shown, accepted } = await shownAndAccepted(rig, person, (await traffic.stop()).counts)
  expect(shown).toEqual(accepted)
  for (const [index, id] of ids.entries()) expect((await rig.session(id)).epoch).toBeGreaterThanOrEqual(epochs[index] ?? 0)
  await waitFor('takeovers are open again', async () => (await rig.commands.exists(quarantineKey(prefix))) === 0)
}, 180_000)

test('the store cannot be written until requests and a worker are refused: what people write, and what is sent, is stored once', async () => {
  const phones = await Promise.all(ids.map(async (id) => (await rig.session(id)).phoneNumber ?? ''))
  const traffic = sendSteadily(rig, person, ids, 100)
  await arrivals(rig, person, 12)
  const repeated = () => rig.workers.reduce((sum, worker) => sum + logged(worker, 'store.write_repeated').length, 0)
  const lock = new DatabaseSync(rig.storePath, { timeout: 10_000 })
  const { refusedCount: refusedBefore } = traffic
  const repeatedBefore = repeated()
  lock.exec('BEGIN IMMEDIATE')
  const written = await Promise.all(
    phones.map((to) => rig.sandbox.client.sendFrom(person, { to, text: 'while you could not write it down' })),
  )
  await waitFor('a request to be refused', () => traffic.refusedCount > refusedBefore, 30_000)
  await waitFor('a write of a worker to be refused', () => repeated() > repeatedBefore, 30_000)
  lock.exec('ROLLBACK')
  lock.close()
  for (const [index, { id }] of written.entries()) {
    const sessionId = ids[index] ?? ''
    await waitFor('the inbound message', () => rig.store.messages.findByWhatsappId(sessionId, id), 60_000)
    const { data } = await rig.store.messages.list({ sessionId, direction: 'inbound', limit: 100 })
    expect(data.filter(({ whatsappId }) => whatsappId === id)).toHaveLength(1)
  }
  const { counts, refusedCount } = await traffic.stop()
  expect(refusedCount).toBeGreaterThan(0)
  const { shown, accepted } = await shownAndAccepted(rig, person, counts)
  expect(shown).toEqual(accepted)
  for (const id of ids) {
    const unread = async () => (await rig.store.messages.list({ sessionId: id, status: 'read', limit: 200 })).data.length
    await waitFor('every status in the store', async () => (await unread()) >= Math.min(200, counts.get(id) ?? 0), 60_000)
  }
}, 180_000)
