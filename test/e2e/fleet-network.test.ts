// Bad networks between a worker and WhatsApp: unreachable, half-open, slow, lossy, cut. Everything accepted arrives once and in order.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startLink, type Link } from '../../scripts/chaos/link.ts'
import { createRandom } from '../../scripts/chaos/random.ts'
import { watchdogKey } from '../../src/sessions/session-keys.ts'
import { areConnected, pairSessions } from '../support/holders.ts'
import { arrivals, sendSteadily, shownAndAccepted } from '../support/steady-traffic.ts'
import { waitFor } from '../support/wait.ts'
import { logged, prefix, startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'

let rig: WorkerRig
let link: Link
let ids: string[]
let lastPerson = 254711000000
beforeAll(async () => {
  rig = await startWorkerRig()
  link = await startLink(rig.sandbox.port, createRandom(1))
  await rig.startWorker({ UJUMBE_WHATSAPP_URL: `ws://127.0.0.1:${link.port}/ws/chat` })
  ids = await pairSessions(rig, 10)
}, 120_000)
afterEach(async () => {
  link.set({ bytesPerSecond: null, isLossy: false })
  await rig.sandbox.client.clearFaults()
})
afterAll(async () => {
  if (process.env['SHOW_LOG']) console.log(rig.workers.map((worker) => worker.lines.join('\n')).join('\n'))
  await rig.close()
  await link.close()
})

/** Sends to a new phone while `disturb` runs, and gives what it then shows beside what was accepted. */
async function sendDuring(disturb: (arrived: (count: number) => Promise<void>) => Promise<void>) {
  const person = String((lastPerson += 1))
  await rig.sandbox.client.addPhone({ phoneNumber: person })
  const traffic = sendSteadily(rig, person, ids, 200)
  const arrived = (count: number) => arrivals(rig, person, count)
  await arrived(20)
  await disturb(arrived)
  return shownAndAccepted(rig, person, (await traffic.stop()).counts, 90_000)
}

test.each([1, 5, 30])(
  'WhatsApp cannot be reached for %i s',
  async (seconds) => {
    const worker = rig.workers[0]!
    const returnsBefore = logged(worker, 'network.returned').length
    const { shown, accepted } = await sendDuring(async () => {
      await rig.sandbox.client.fault({ kind: 'refuse_connections' })
      await rig.sandbox.client.fault({ kind: 'reset' })
      await sleep(seconds * 1_000)
      await rig.sandbox.client.clearFaults()
      await waitFor('all connected', () => areConnected(rig, ids), 60_000)
    })
    expect(shown).toEqual(accepted)
    expect(logged(worker, 'network.returned').length).toBe(returnsBefore + 1)
    for (const id of ids) expect(await rig.session(id)).toMatchObject({ status: 'connected', statusReason: null })
  },
  180_000,
)

test('connections that carry nothing any more and stay open are noticed, replaced and written down', async () => {
  const { shown, accepted } = await sendDuring(async () => {
    link.swallow(1)
    const seen = async () => (await Promise.all(ids.map((id) => rig.commands.llen(watchdogKey(prefix, id))))).every((n) => n > 0)
    await waitFor('the watchdog has replaced each', seen, 40_000)
    await waitFor('all connected', () => areConnected(rig, ids), 60_000)
  })
  expect(shown).toEqual(accepted)
}, 180_000)

test('a link that is slow, then loses segments, then is cut', async () => {
  const { shown, accepted } = await sendDuring(async (arrived) => {
    link.set({ bytesPerSecond: 2_000, isLossy: false })
    await arrived(60)
    link.set({ bytesPerSecond: null, isLossy: true })
    await arrived(100)
    link.cut(1)
    await waitFor('all connected', () => areConnected(rig, ids), 60_000)
  })
  expect(shown).toEqual(accepted)
}, 180_000)
