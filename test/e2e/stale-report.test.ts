// A neighbour's report of the sessions it holds is some seconds old: what it has just given to a worker that died must be claimed all the same.
import { hostname } from 'node:os'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { leaseKey, trafficKey, workerKey, workersKey } from '../../src/sessions/session-keys.ts'
import type { WorkerView } from '../../src/sessions/worker-heartbeat.ts'
import { waitFor } from '../support/wait.ts'
import { prefix, startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'

let rig: WorkerRig
beforeEach(async () => {
  rig = await startWorkerRig()
})
afterEach(() => rig.close())

test('a session of the dead is claimed at once, although a living worker reports it still', async () => {
  const { commands } = rig
  const sessionId = await rig.addSession()
  const neighbour: WorkerView = {
    incarnation: 'elsewhere-1-a-b.0',
    hostId: `${hostname()}-elsewhere`,
    bootId: 'another',
    pid: 1,
    deathSocket: '/nowhere',
    capacity: 0,
    held: 0,
    takeovers: 0,
    draining: false,
    version: '0.1.0',
    startedAt: Date.now(),
  }
  await commands.set(workerKey(prefix, neighbour.incarnation), JSON.stringify(neighbour), 'PX', 300_000)
  await commands.zadd(workersKey(prefix), Date.now(), neighbour.incarnation)
  await commands.hset(trafficKey(prefix, neighbour.incarnation), sessionId, Date.now())
  await commands.hset(leaseKey(prefix, sessionId), { owner: 'dead-1-a-b.0', epoch: 0 })
  // Nobody is woken: what finds it is the sweep at the start, like the one after a death.
  await rig.store.sessions.request(sessionId, 'connect', Date.now())
  const worker = await rig.startWorker()
  const isClaimed = async () => (await commands.hget(leaseKey(prefix, sessionId), 'owner'))?.includes(`-${worker.pid}-`) === true
  // The routine sweep believes the report, which in this test never ends.
  await waitFor('the session is claimed', isClaimed, 20_000)
  expect(await commands.exists(workerKey(prefix, neighbour.incarnation))).toBe(1)
})
