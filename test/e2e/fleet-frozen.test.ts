// Workers that are stopped beyond their TTL and go on: not one byte of theirs leaves after somebody else has claimed the session.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkFleet } from '../../scripts/chaos/check/check-fleet.ts'
import { startLink, type Link } from '../../scripts/chaos/link.ts'
import { createRandom } from '../../scripts/chaos/random.ts'
import { ownershipOf, type Line } from '../../scripts/chaos/read-logs.ts'
import { areConnected, heldBy, pairSessions } from '../support/holders.ts'
import { arrivals, sendSteadily, shownAndAccepted } from '../support/steady-traffic.ts'
import { waitFor } from '../support/wait.ts'
import { logged, startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'
import type { WorkerProcess } from '../support/worker-process.ts'

const ttlMs = 3_000
const person = '254711000001'
let rig: WorkerRig
let link: Link
beforeAll(async () => {
  rig = await startWorkerRig({ UJUMBE_LEASE_TTL_MS: String(ttlMs) })
  link = await startLink(rig.sandbox.port, createRandom(1))
  await rig.sandbox.client.addPhone({ phoneNumber: person })
})
afterAll(async () => {
  await rig.close()
  await link.close()
})

test('each of two workers is stopped for 1.6 TTL while messages leave: no stale byte, no conflict war, nothing lost or doubled', async () => {
  const through = { UJUMBE_WHATSAPP_URL: `ws://127.0.0.1:${link.port}/ws/chat` }
  const workers: WorkerProcess[] = [await rig.startWorker(through), await rig.startWorker(through)]
  const ids = await pairSessions(rig, 6)
  const traffic = sendSteadily(rig, person, ids)
  await arrivals(rig, person, 20)
  for (const sleeper of workers) {
    await waitFor('it holds some', async () => (await heldBy(rig, sleeper, ids)).length > 0, 40_000)
    process.kill(sleeper.pid, 'SIGSTOP')
    await sleep(1.6 * ttlMs)
    process.kill(sleeper.pid, 'SIGCONT')
    await waitFor('it notices', () => logged(sleeper, 'lease.trust_lost').length > 0)
    await waitFor('all connected', () => areConnected(rig, ids), 30_000)
  }
  const { shown, accepted } = await shownAndAccepted(rig, person, (await traffic.stop()).counts)
  expect(shown).toEqual(accepted)

  const lines = workers.flatMap((worker) =>
    ['lease.claimed', 'socket.connected'].flatMap((name) => logged(worker, name) as Line[]),
  )
  const { claims, connections } = ownershipOf(lines, link.records)
  expect(claims.length).toBeGreaterThan(ids.length)
  expect(connections.length).toBeGreaterThan(ids.length)
  expect(checkFleet({ claims, connections, shares: [], unconnected: [], leftovers: [] })).toEqual([])
  const conflicts = workers.flatMap((worker) => logged(worker, 'socket.closed')).filter(({ code }) => code === 440)
  expect(conflicts).toEqual([])
}, 120_000)
