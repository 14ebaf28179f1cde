// Health scores over real workers, two schedulers and a sandbox: who is well, who is ill, and why.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readHealth } from '../../src/health/read-health.ts'
import { waitFor } from '../support/wait.ts'
import { prefix, startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'

let rig: WorkerRig
const person = '254711000201'
beforeAll(async () => {
  rig = await startWorkerRig()
  await rig.sandbox.client.addPhone({ phoneNumber: person, autoRead: true })
  await Promise.all([rig.startWorker(), rig.startScheduler(), rig.startScheduler()])
})
afterAll(async () => {
  if (process.env['SHOW_LOG']) console.log(rig.workers.map((worker) => worker.lines.join('\n')).join('\n'))
  await rig.close()
})

const pairedSession = async (phoneNumber: string) => {
  const id = await rig.addSession()
  await rig.pair(id, phoneNumber)
  return id
}
const health = async (id: string, window: '1h' | '24h' | '7d' = '1h') => {
  const view = await readHealth({ store: rig.store, redis: rig.commands, prefix }, await rig.session(id), window)
  expect(view.score).toBe(100 - view.reasons.reduce((sum, { points }) => sum + points, 0))
  return view
}
const scored = (id: string, level: string, deadlineMs = 30_000) =>
  waitFor(`${id} scored as ${level}`, async () => (await rig.session(id)).health?.level === level, deadlineMs)
const levelIn = (data: Record<string, unknown>) => (data['session'] as { health: { level: string } }).health.level
/** Levels as told by events. */
const toldLevels = async (id: string) => {
  const events = await rig.store.events.list({ sessionId: id, types: ['session.health'], limit: 50 })
  return events.map(({ data }) => levelIn(data))
}

// Each has sessions of its own, and waits for time to pass: they need not wait for each other.
test.concurrent('a steady session is healthy, with traffic and without, and nobody is told anything', async () => {
  const id = await pairedSession('254700000201')
  const messages = await Promise.all(Array.from({ length: 10 }, (_, i) => rig.send(id, person, `steady ${i}`)))
  await waitFor('all read', async () => {
    const found = await Promise.all(messages.map((message) => rig.store.messages.get(id, message.id)))
    return found.every((message) => message?.status === 'read')
  })
  await scored(id, 'healthy')
  const view = await health(id)
  expect(view.score).toBeGreaterThanOrEqual(94)
  expect(view.signals).toMatchObject({
    state: 'connected',
    uptimePercent: 100,
    reconnectCount: 0,
    queueDepth: 0,
    unackedSeconds: 0,
  })
  expect(view.signals.ackLatencyMsP95).toBeGreaterThan(0)
  expect(view.signals.heartbeatAgeSeconds).toBeLessThan(45)
  expect(view.history.map(({ score }) => score)).toEqual(view.history.map(() => view.score))
  expect((await health(id, '7d')).score).toBe(view.score)
  expect(await toldLevels(id)).toEqual([])
})

test.concurrent('a flapping session is in the sixties, and says so once', async () => {
  const phoneNumber = '254700000202'
  const id = await pairedSession(phoneNumber)
  await scored(id, 'healthy')
  for (let times = 0; times < 6; times += 1) {
    const { connectedAt } = await rig.waitConnected(id)
    await rig.sandbox.client.fault({ kind: 'close', sessions: [phoneNumber] })
    await waitFor('a new connection', async () => {
      const live = await rig.live(id)
      return live.state === 'connected' && live.connectedAt !== connectedAt
    })
  }
  await scored(id, 'recovering')
  const view = await health(id)
  expect(view.score).toBeGreaterThanOrEqual(60)
  expect(view.score).toBeLessThan(70)
  expect(view.reasons[0]?.code).toBe('reconnects')
  expect(view.signals.reconnectCount).toBe(6)
  expect(view.signals.uptimePercent).toBeLessThan(100)
  expect(await toldLevels(id)).toEqual(['recovering'])
})

/** How late the timers of this process are in all until it is asked: what a busy machine adds to every wait. */
const measureLateness = () => {
  const everyMs = 100
  let [lateMs, before] = [0, performance.now()]
  const timer = setInterval(() => {
    const now = performance.now()
    lateMs += Math.max(0, now - before - everyMs)
    before = now
  }, everyMs)
  return () => {
    clearInterval(timer)
    return lateMs
  }
}
/** Two sockets are given up, each after 20 s without an ack, a message must come between them, and the next tick must see it. */
const criticalWithinMs = 60_000
const tickMs = 10_000

test.concurrent('pings answered, acks swallowed over several reconnects: critical within a minute and a tick, with the reason and what was done', async () => {
  // To oneself nobody sends a receipt; to another the receipt proves each send, and the server is no better for it.
  const [silent, proven] = ['254700000203', '254700000204']
  const sessions = [
    { id: await pairedSession(silent), to: silent },
    { id: await pairedSession(proven), to: person },
  ]
  for (const { id } of sessions) await rig.send(id, person, 'before')
  await Promise.all(sessions.map(({ id }) => scored(id, 'healthy')))
  const faultAt = Date.now()
  const lateness = measureLateness()
  await rig.sandbox.client.fault({ kind: 'drop_acks', sessions: [silent, proven] })
  let sent = 0
  const sender = setInterval(() => {
    sent += 1
    for (const { id, to } of sessions) void rig.send(id, to, `swallowed ${sent}`)
  }, 3_000)
  try {
    await Promise.all(sessions.map(({ id }) => scored(id, 'critical', 120_000)))
  } finally {
    clearInterval(sender)
    await rig.sandbox.client.clearFaults()
  }
  const lateMs = lateness()
  for (const { id } of sessions) {
    const events = await rig.store.events.list({ sessionId: id, types: ['session.health'], limit: 50 })
    const critical = events.find(({ data }) => levelIn(data) === 'critical')
    expect((critical?.at ?? Infinity) - faultAt).toBeLessThanOrEqual(criticalWithinMs + tickMs + lateMs)
    const view = await health(id)
    expect(view.level).toBe('critical')
    expect(view.reasons[0]).toMatchObject({ code: 'acks_missing' })
    expect(view.reasons[0]?.text).toMatch(/acknowledged nothing for \d+ s, over \d+ reconnects?/)
    const actions = view.history.flatMap((sample) => sample.actions ?? [])
    expect(actions.length).toBeGreaterThan(0)
    expect(actions.every(({ action, reason }) => action === 'reconnect' && reason.startsWith('no_ack'))).toBe(true)
    expect(await toldLevels(id)).toContain('critical')
  }
})

test('a session that is logged out has 0 points, and one without any worker is ill too', async () => {
  const [gone, orphan] = [await pairedSession('254700000205'), await pairedSession('254700000206')]
  await scored(orphan, 'healthy')
  await rig.sandbox.client.unlink('254700000205')
  await scored(gone, 'critical')
  expect(await health(gone)).toMatchObject({ score: 0, reasons: [{ code: 'logged_out', points: 100 }] })
  for (const worker of rig.workers) if (worker.lines.some((line) => line.includes('session-worker'))) await worker.end('SIGKILL')
  await scored(orphan, 'recovering', 120_000)
  const view = await health(orphan)
  expect(view.reasons[0]?.code).toBe('not_connected')
  expect(view.reasons[0]?.text).toContain('no worker reports it')
})
