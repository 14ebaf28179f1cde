// One session worker as a real process while WhatsApp, Redis and the network misbehave.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { conflictsKey, leaseKey, reconnectsKey, watchdogKey } from '../../src/sessions/session-keys.ts'
import { waitFor } from '../support/wait.ts'
import { logged, prefix, startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'

let rig: WorkerRig
let lastPhone = 254700002000
const person = '254711000001'
beforeAll(async () => {
  rig = await startWorkerRig({ UJUMBE_LEASE_TTL_MS: '3000' })
  await rig.sandbox.client.addPhone({ phoneNumber: person })
  await rig.startWorker()
})
afterEach(() => rig.sandbox.client.clearFaults())
afterAll(async () => {
  if (process.env['SHOW_LOG']) console.log(rig.workers.map((worker) => worker.lines.join('\n')).join('\n'))
  await rig.close()
})

async function pairedSession(): Promise<{ id: string; phone: string }> {
  const id = await rig.addSession()
  const phone = String((lastPhone += 1))
  await rig.pair(id, phone)
  return { id, phone }
}

const texts = async () => (await rig.sandbox.client.messages(person, { limit: 5_000 })).map(({ text }) => text)

test.each([
  { code: 403, status: 'disconnected', reason: 'banned', isErased: false },
  { code: 405, status: 'disconnected', reason: 'client_outdated', isErased: false },
  { code: 401, status: 'logged_out', reason: 'device_removed', isErased: true },
  { code: 411, status: 'logged_out', reason: 'pairing_rejected', isErased: true },
] as const)('stream error $code ends as $status, $reason', async ({ code, status, reason, isErased }) => {
  const { id, phone } = await pairedSession()
  await rig.sandbox.client.fault({ kind: 'stream_error', code, sessions: [phone] })
  expect(await rig.waitStatus(id, status)).toMatchObject({ statusReason: reason, claimable: false })
  expect((await rig.store.credentials.readDataKey(id)) === null).toBe(isErased)
  await waitFor('released', async () => (await rig.commands.hget(leaseKey(prefix, id), 'owner')) === null)
})

test.each([500, 503, 429])('stream error %i is followed by a new socket, with the reason told and counted', async (code) => {
  const { id, phone } = await pairedSession()
  await rig.sandbox.client.fault({ kind: 'stream_error', code, sessions: [phone] })
  const session = await rig.waitStatus(id, 'reconnecting')
  await rig.sandbox.client.clearFaults()
  await rig.waitStatus(id, 'connected', 30_000)
  expect(session.statusReason).toMatch(/^[a-z_]+$/)
  const [first] = await rig.commands.lrange(reconnectsKey(prefix, id), 0, -1)
  expect(JSON.parse(first ?? '{}')).toMatchObject({ reason: session.statusReason })
})

test('another socket of the same device: paused, and the third time within ten minutes it is given up', async () => {
  const { id, phone } = await pairedSession()
  // Two of the three, as an earlier holder would have left them.
  await rig.commands.lpush(conflictsKey(prefix, id), Date.now() - 590_000, Date.now() - 1_000)
  await rig.sandbox.client.fault({ kind: 'conflict', sessions: [phone] })
  expect(await rig.waitStatus(id, 'disconnected')).toMatchObject({ statusReason: 'replaced_elsewhere' })
  expect(await rig.store.credentials.readDataKey(id)).not.toBeNull()
})

test('conflicts that are ten minutes old do not count', async () => {
  const { id, phone } = await pairedSession()
  await rig.commands.lpush(conflictsKey(prefix, id), Date.now() - 700_000, Date.now() - 650_000)
  await rig.sandbox.client.fault({ kind: 'conflict', sessions: [phone] })
  expect(await rig.waitStatus(id, 'reconnecting')).toMatchObject({ statusReason: 'replaced_elsewhere' })
  await rig.sandbox.client.clearFaults()
  await rig.waitStatus(id, 'connected', 20_000)
})

test('credentials of the other network are not used', async () => {
  const { id } = await pairedSession()
  await rig.request(id, 'disconnect')
  const { epoch } = await rig.waitStatus(id, 'disconnected')
  await rig.store.sessions.update(id, epoch, { network: 'whatsapp' }, () => [])
  await rig.request(id, 'connect')
  await waitFor('wrong_network', async () => (await rig.session(id)).statusReason === 'wrong_network')
  expect(await rig.session(id)).toMatchObject({ status: 'disconnected', claimable: false })
})

test('a deaf socket is noticed within 20 s, replaced, and written down; what was accepted meanwhile arrives once', async () => {
  const { id, phone } = await pairedSession()
  await rig.sandbox.client.fault({ kind: 'stall', sessions: [phone] })
  const at = performance.now()
  await rig.send(id, person, 'into the silence')
  await waitFor('the replacement', async () => (await rig.commands.llen(watchdogKey(prefix, id))) > 0, 20_000)
  expect(performance.now() - at).toBeLessThan(20_000)
  await rig.sandbox.client.clearFaults()
  await waitFor('the message', async () => (await texts()).includes('into the silence'), 60_000)
  expect((await texts()).filter((text) => text === 'into the silence')).toHaveLength(1)
  const [action] = await rig.commands.lrange(watchdogKey(prefix, id), 0, -1)
  expect(JSON.parse(action ?? '{}')).toMatchObject({ action: 'reconnect', reason: expect.stringContaining('deaf') })
}, 120_000)

test('WhatsApp unreachable for many: it is the network, nobody is blamed, and all are back soon after', async () => {
  const sessions = []
  for (let i = 0; i < 12; i++) sessions.push(await pairedSession())
  await rig.sandbox.client.fault({ kind: 'refuse_connections' })
  await rig.sandbox.client.fault({ kind: 'reset' })
  await waitFor('the outage noticed', () => logged(rig.workers[0]!, 'network.lost').length > 0)
  const closes = () => logged(rig.workers[0]!, 'socket.closed')
  const atFirst = closes().length
  await waitFor('some probes', () => closes().length >= atFirst + 5, 30_000)
  await rig.sandbox.client.clearFaults()
  await Promise.all(sessions.map(({ id }) => rig.waitStatus(id, 'connected', 30_000)))
  expect(logged(rig.workers[0]!, 'network.returned')).toHaveLength(1)
  expect(Math.max(...closes().map(({ attempt }) => Number(attempt)))).toBeLessThan(4)
  for (const { id } of sessions) expect((await rig.session(id)).statusReason).toBeNull()
}, 120_000)

test('Redis comes back empty: queues are rebuilt, epochs do not fall, everything arrives once and in order', async () => {
  const { id } = await pairedSession()
  const before = (await rig.session(id)).epoch
  for (let n = 1; n <= 40; n++) await rig.send(id, person, `empty #${n}`)
  await rig.commands.flushall()
  for (let n = 41; n <= 60; n++) await rig.send(id, person, `empty #${n}`)
  await waitFor('all messages', async () => (await texts()).filter((text) => text.startsWith('empty ')).length >= 60, 60_000)
  expect((await texts()).filter((text) => text.startsWith('empty '))).toEqual(
    Array.from({ length: 60 }, (_, n) => `empty #${n + 1}`),
  )
  const lease = await waitFor('the lease back', async () => {
    const found = await rig.commands.hgetall(leaseKey(prefix, id))
    return found['owner'] !== undefined && found
  })
  expect(Number(lease['epoch'])).toBeGreaterThanOrEqual(before)
  expect((await rig.session(id)).epoch).toBe(Number(lease['epoch']))
}, 120_000)

test('Redis away beyond the TTL: sockets are closed; after its return sessions come back and everything arrives', async () => {
  const { id } = await pairedSession()
  for (let n = 1; n <= 20; n++) await rig.send(id, person, `away #${n}`)
  rig.redis.pause()
  await waitFor('no socket is open', async () => (await rig.sandbox.client.stats()).socketsOpen === 0, 20_000)
  rig.redis.resume()
  await rig.waitConnected(id, 30_000)
  await waitFor('all messages', async () => (await texts()).filter((text) => text.startsWith('away ')).length >= 20, 60_000)
  expect((await texts()).filter((text) => text.startsWith('away '))).toEqual(
    Array.from({ length: 20 }, (_, n) => `away #${n + 1}`),
  )
}, 120_000)

test('a deletion is finished although WhatsApp cannot be told', async () => {
  const { id, phone } = await pairedSession()
  await rig.request(id, 'disconnect')
  await rig.waitStatus(id, 'disconnected')
  await rig.sandbox.client.fault({ kind: 'refuse_connections', sessions: [phone] })
  await rig.request(id, 'delete')
  await waitFor('the session gone', async () => (await rig.store.sessions.get(id)) === null, 40_000)
  await waitFor('nothing of it left in Redis', async () => (await rig.commands.keys(`${prefix}*${id}*`)).length === 0)
  expect(await rig.store.credentials.readDataKey(id)).toBeNull()
}, 60_000)
