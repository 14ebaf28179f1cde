// Several session workers as real processes: killed, stopped, ended and joined, with messages under way.
import { readdir, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { quarantineKey } from '../../src/sessions/session-keys.ts'
import { heldBy, waitHolder } from '../support/holders.ts'
import { arrivals, sendSteadily, shownAndAccepted } from '../support/steady-traffic.ts'
import { waitFor } from '../support/wait.ts'
import { logged, prefix, startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'
import type { WorkerProcess } from '../support/worker-process.ts'

const ttlMs = 3_000
const person = '254711000001'
let rig: WorkerRig

async function start(workerCount: number, sessionCount: number, env: Record<string, string> = {}) {
  rig = await startWorkerRig({ UJUMBE_LEASE_TTL_MS: String(ttlMs), ...env })
  await rig.sandbox.client.addPhone({ phoneNumber: person })
  const workers = []
  for (let i = 0; i < workerCount; i++) workers.push(await rig.startWorker())
  const ids = await Promise.all(
    Array.from({ length: sessionCount }, async (_, i) => {
      const id = await rig.addSession()
      await rig.pair(id, `2547000001${String(i).padStart(2, '0')}`)
      return id
    }),
  )
  return { workers, ids }
}
afterEach(async () => {
  if (process.env['SHOW_LOG']) for (const worker of rig.workers) console.log(worker.lines.join('\n'))
  await rig.close()
})

test('kill -9: a neighbour on the machine takes over with proof, before the TTL; nothing is lost, doubled or reordered', async () => {
  const { workers, ids } = await start(2, 6)
  const [victim, heir] = workers as [WorkerProcess, WorkerProcess]
  await waitFor(
    'both hold some',
    async () => (await heldBy(rig, victim, ids)).length > 0 && (await heldBy(rig, heir, ids)).length > 0,
    20_000,
  )
  const traffic = sendSteadily(rig, person, ids)
  await arrivals(rig, person, 30)
  await victim.end('SIGKILL')
  await waitHolder(rig, heir, ids, 20_000)
  expect(logged(heir, 'worker.found_dead')).toHaveLength(1)
  const { shown, accepted } = await shownAndAccepted(rig, person, (await traffic.stop()).counts)
  expect(shown).toEqual(accepted)
})

test('a worker whose disk refuses one flush cannot write any more: it hands its sessions over and ends', async () => {
  const preload = join(import.meta.dirname, '../support/failing-flush-process.ts')
  const { workers, ids } = await start(1, 3, { NODE_OPTIONS: `--import ${preload}` })
  const heir = await rig.startWorker()
  const traffic = sendSteadily(rig, person, ids)
  await arrivals(rig, person, 10)
  expect(await workers[0]?.end('SIGUSR2')).toBe(1)
  await waitHolder(rig, heir, ids, 20_000)
  expect(logged(heir, 'worker.found_dead')).toHaveLength(0)
  const { shown, accepted } = await shownAndAccepted(rig, person, (await traffic.stop()).counts)
  expect(shown).toEqual(accepted)
})

test('kill -9 on what counts as another machine: taken over when the heartbeat has run out', async () => {
  const { workers, ids } = await start(1, 3, { UJUMBE_HOST_ID: 'one' })
  const heir = await rig.startWorker({ UJUMBE_HOST_ID: 'two' })
  const traffic = sendSteadily(rig, person, ids)
  await arrivals(rig, person, 10)
  await workers[0]?.end('SIGKILL')
  await waitHolder(rig, heir, ids, 20_000)
  expect(logged(heir, 'worker.found_dead')).toHaveLength(0)
  const { shown, accepted } = await shownAndAccepted(rig, person, (await traffic.stop()).counts)
  expect(shown).toEqual(accepted)
})

test('the only worker, killed and started again, does not wait for its predecessor', async () => {
  const { workers, ids } = await start(1, 3, { UJUMBE_LEASE_TTL_MS: '60000' })
  const traffic = sendSteadily(rig, person, ids)
  await arrivals(rig, person, 10)
  // The first worker of a new Redis closes it to takeovers for one TTL.
  await rig.commands.del(quarantineKey(prefix))
  await workers[0]?.end('SIGKILL')
  const next = await rig.startWorker({ UJUMBE_LEASE_TTL_MS: '60000' })
  await waitHolder(rig, next, ids, 15_000)
  const { shown, accepted } = await shownAndAccepted(rig, person, (await traffic.stop()).counts)
  expect(shown).toEqual(accepted)
})

test('sockets do not pile up: one in order takes its own along, a killed one leaves it to the next, also when its heartbeat has run out', async () => {
  const { workers } = await start(1, 0)
  const dir = join(dirname(rig.storePath), 'workers')
  const sockets = () => readdir(dir)
  const [first] = await sockets()
  await workers[0]?.end('SIGKILL')
  const second = await rig.startWorker()
  await waitFor('its death found', () => logged(second, 'worker.found_dead').length > 0)
  await waitFor('its socket gone', async () => !(await sockets()).includes(first ?? ''))
  const [mine] = await sockets()
  await second.end('SIGKILL')
  await waitFor('its heartbeat gone', async () => (await rig.commands.keys(`${prefix}:worker:*`)).length === 0)
  const longAgo = new Date(Date.now() - 3_600_000)
  await utimes(join(dir, mine ?? ''), longAgo, longAgo)
  const third = await rig.startWorker()
  expect(await sockets()).toHaveLength(1)
  expect(logged(third, 'worker.found_dead')).toEqual([])
  expect(await third.end('SIGTERM')).toBe(0)
  expect(await sockets()).toEqual([])
})

test('a worker stopped beyond its TTL sends nothing when it goes on, and starts no conflict', async () => {
  const { workers, ids } = await start(2, 4)
  const [sleeper, heir] = workers as [WorkerProcess, WorkerProcess]
  await waitFor('the sleeper holds some', async () => (await heldBy(rig, sleeper, ids)).length > 0, 20_000)
  const traffic = sendSteadily(rig, person, ids)
  await arrivals(rig, person, 20)
  process.kill(sleeper.pid, 'SIGSTOP')
  await waitHolder(rig, heir, ids, 20_000)
  expect(logged(heir, 'worker.found_dead')).toHaveLength(0)
  process.kill(sleeper.pid, 'SIGCONT')
  await waitFor('it notices', () => logged(sleeper, 'lease.trust_lost').length > 0)
  const { shown, accepted } = await shownAndAccepted(rig, person, (await traffic.stop()).counts)
  expect(shown).toEqual(accepted)
  for (const worker of workers) {
    expect(logged(worker, 'session.settled')).toEqual([])
    expect(logged(worker, 'session.changed').filter(({ reason }) => reason === 'replaced_elsewhere')).toEqual([])
  }
})

test('SIGTERM hands every session over: no message repeated, none waiting long', async () => {
  const { workers, ids } = await start(2, 6)
  const [leaver, heir] = workers as [WorkerProcess, WorkerProcess]
  await waitFor('the leaver holds some', async () => (await heldBy(rig, leaver, ids)).length > 0, 20_000)
  const traffic = sendSteadily(rig, person, ids)
  await arrivals(rig, person, 30)
  const before = (await rig.sandbox.client.phone(person)).counts
  expect(await leaver.end('SIGTERM')).toBe(0)
  await waitHolder(rig, heir, ids, 10_000)
  const { shown, accepted } = await shownAndAccepted(rig, person, (await traffic.stop()).counts)
  expect(shown).toEqual(accepted)
  const after = (await rig.sandbox.client.phone(person)).counts
  expect(after.duplicates - before.duplicates).toBe(0)
  // It left in order: that is no death.
  expect(logged(heir, 'worker.found_dead')).toEqual([])
  expect(await rig.commands.zcard(`${prefix}:workers`)).toBe(1)
})

test('a worker that joins is given its share', async () => {
  const { workers, ids } = await start(1, 8)
  const joiner = await rig.startWorker()
  await waitFor('an even share', async () => (await heldBy(rig, joiner, ids)).length === 4, 40_000)
  await waitFor('all connected', async () =>
    (await Promise.all(ids.map((id) => rig.live(id)))).every(({ state }) => state === 'connected'),
  )
  expect(await heldBy(rig, workers[0] as WorkerProcess, ids)).toHaveLength(4)
  expect(logged(joiner, 'lease.claimed').length).toBe(4)
})
