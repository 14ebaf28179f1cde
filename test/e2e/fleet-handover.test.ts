// What else must survive a change of the holder: people's messages that come meanwhile, a ratchet that fell back, even shares.
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { areConnected, heldBy, pairSessions } from '../support/holders.ts'
import { arrivals, sendSteadily, shownAndAccepted } from '../support/steady-traffic.ts'
import { waitFor } from '../support/wait.ts'
import { logged, startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'
import type { WorkerProcess } from '../support/worker-process.ts'

const person = '254711000001'
let rig: WorkerRig
beforeEach(async () => {
  rig = await startWorkerRig({ UJUMBE_LEASE_TTL_MS: '3000' })
  await rig.sandbox.client.addPhone({ phoneNumber: person })
})
afterEach(async () => {
  if (process.env['SHOW_LOG']) console.log(rig.workers.map((worker) => worker.lines.join('\n')).join('\n'))
  await rig.close()
})

test('what people write while the holder dies, and while nobody holds the session, is stored and told once', async () => {
  const first = await rig.startWorker()
  const [id = ''] = await pairSessions(rig, 1)
  const { phoneNumber } = await rig.session(id)
  const written: string[] = []
  const write = async (text: string) => {
    written.push((await rig.sandbox.client.sendFrom(person, { to: phoneNumber ?? '', text })).id)
  }
  for (let n = 1; n <= 10; n++) await write(`while it is held #${n}`)
  const dying = Array.from({ length: 20 }, (_, n) => write(`while it dies #${n + 1}`))
  await first.end('SIGKILL')
  await Promise.all(dying)
  for (let n = 1; n <= 10; n++) await write(`while nobody holds it #${n}`)
  await rig.startWorker()
  const stored = async () => (await rig.store.messages.list({ sessionId: id, direction: 'inbound', limit: 200 })).data
  await waitFor('all stored', async () => (await stored()).length >= written.length, 60_000)
  expect((await stored()).map(({ whatsappId }) => whatsappId).toSorted()).toEqual(written.toSorted())
  const told = await rig.store.events.list({ sessionId: id, types: ['message.received'], limit: 200 })
  expect(told).toHaveLength(written.length)
}, 120_000)

test('keys that fell back in a crash: both sides find together again, nothing is lost either way', async () => {
  const first = await rig.startWorker()
  const [id = ''] = await pairSessions(rig, 1)
  const texts = async () => (await rig.sandbox.client.messages(person)).map(({ text }) => text)
  const sendAll = async (from: number, to: number) => {
    for (let n = from; n <= to; n++) await rig.send(id, person, `message #${n}`)
    await waitFor(`message #${to}`, async () => (await texts()).length >= to, 60_000)
  }
  await sendAll(1, 3)
  const db = new DatabaseSync(rig.storePath, { timeout: 5_000 })
  const kept = db.prepare('SELECT type, id, value FROM credentials WHERE session_id = ? AND type = ?').all(id, 'session')
  expect(kept.length).toBeGreaterThan(0)
  await sendAll(4, 6)
  await first.end('SIGKILL')
  const restore = db.prepare('UPDATE credentials SET value = ? WHERE session_id = ? AND type = ? AND id = ?')
  for (const row of kept) restore.run(row['value'] ?? null, id, row['type'] ?? null, row['id'] ?? null)
  db.close()
  await rig.startWorker()
  await sendAll(7, 9)
  expect(await texts()).toEqual(Array.from({ length: 9 }, (_, n) => `message #${n + 1}`))
  const { phoneNumber } = await rig.session(id)
  const { id: written } = await rig.sandbox.client.sendFrom(person, { to: phoneNumber ?? '', text: 'and back' })
  const stored = await waitFor('the answer', () => rig.store.messages.findByWhatsappId(id, written), 60_000)
  expect(stored.content).toMatchObject({ text: { body: 'and back' } })
}, 120_000)

test('2 → 3 → 2 workers: shares are even each time, few sessions move, no frame is repeated', async () => {
  const workers: WorkerProcess[] = [await rig.startWorker(), await rig.startWorker()]
  const ids = await pairSessions(rig, 18)
  const shares = async (): Promise<number[]> =>
    Promise.all(workers.map(async (worker) => (await heldBy(rig, worker, ids)).length))
  const areEven = async (each: number) => (await shares()).every((held) => Math.abs(held - each) <= Math.max(1, 0.15 * each))
  const claims = () => workers.reduce((sum, worker) => sum + logged(worker, 'lease.claimed').length, 0)
  await waitFor('even shares of two', () => areEven(9), 60_000)

  const traffic = sendSteadily(rig, person, ids, 100)
  await arrivals(rig, person, 18)
  const before = claims()
  workers.push(await rig.startWorker())
  await waitFor('even shares of three', async () => (await areConnected(rig, ids)) && (await areEven(6)), 60_000)
  expect(claims() - before).toBeLessThanOrEqual(7)
  expect(await workers[0]?.end('SIGTERM')).toBe(0)
  workers.shift()
  await waitFor('even shares of the other two', async () => (await areConnected(rig, ids)) && (await areEven(9)), 60_000)
  const { shown, accepted } = await shownAndAccepted(rig, person, (await traffic.stop()).counts)
  expect(shown).toEqual(accepted)
  expect((await rig.sandbox.client.phone(person)).counts.duplicates).toBe(0)
}, 240_000)
