// A worker that is told to end while everything hangs: it ends in time and in order, and another goes on where it was.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startLink, type Link } from '../../scripts/chaos/link.ts'
import { createRandom } from '../../scripts/chaos/random.ts'
import { quarantineKey } from '../../src/sessions/session-keys.ts'
import { pairSessions, waitHolder } from '../support/holders.ts'
import { arrivals, sendSteadily, shownAndAccepted } from '../support/steady-traffic.ts'
import { logged, prefix, startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'

const person = '254711000001'
let rig: WorkerRig
let link: Link
beforeAll(async () => {
  rig = await startWorkerRig({ UJUMBE_LEASE_TTL_MS: '60000' })
  link = await startLink(rig.sandbox.port, createRandom(1))
  await rig.sandbox.client.addPhone({ phoneNumber: person })
})
afterAll(async () => {
  if (process.env['SHOW_LOG']) console.log(rig.workers.map((worker) => worker.lines.join('\n')).join('\n'))
  await rig.close()
  await link.close()
})

test('SIGTERM while no connection carries anything: leases are released in order, not by death or time', async () => {
  const leaver = await rig.startWorker({ UJUMBE_WHATSAPP_URL: `ws://127.0.0.1:${link.port}/ws/chat` })
  // More than are given away at once: those that are left when the time is over must be released too.
  const ids = await pairSessions(rig, 18)
  // The first worker of a new Redis closes it to takeovers for one TTL.
  await rig.commands.del(quarantineKey(prefix))
  const traffic = sendSteadily(rig, person, ids)
  await arrivals(rig, person, 18)
  const heir = await rig.startWorker()
  link.swallow(1)
  expect(await leaver.end('SIGTERM')).toBe(0)
  expect(logged(leaver, 'process.stop_timed_out')).toEqual([])
  await waitHolder(rig, heir, ids, 60_000)
  expect(logged(heir, 'worker.found_dead')).toEqual([])
  const { shown, accepted } = await shownAndAccepted(rig, person, (await traffic.stop()).counts)
  expect(shown).toEqual(accepted)
}, 180_000)
