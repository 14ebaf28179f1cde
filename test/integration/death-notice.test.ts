// Proof of death between processes of one machine: given for a killed one, and for nothing else.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, unlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DeathWatch, findLeftovers, listenUntilDeath, readBootId, removeSockets } from '../../src/fleet/death-notice.ts'
import type { WorkerView } from '../../src/sessions/worker-heartbeat.ts'
import { waitFor } from '../support/wait.ts'

let dir: string
let watch: DeathWatch
let dead: string[]
/** So many deaths cannot be dealt with when they are told of. */
let failures: number
const children: ChildProcess[] = []
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'uj-death-'))
  dead = []
  failures = 0
  watch = new DeathWatch({
    hostId: 'here',
    bootId: 'boot',
    ownSocket: '/own',
    onDeath: async ({ incarnation }) => {
      dead.push(incarnation)
      return dead.length > failures
    },
  })
})
afterEach(async () => {
  watch.close()
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await rm(dir, { recursive: true, force: true })
})

/** A process that listens and does nothing else. */
async function neighbour(): Promise<{ child: ChildProcess; view: WorkerView }> {
  const source = new URL('../../src/fleet/death-notice.ts', import.meta.url).href
  const script = `const { listenUntilDeath } = await import('${source}'); console.log(await listenUntilDeath('${dir}')); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const [path] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, view: view(`worker-${child.pid}`, path.toString().trim()) }
}

function view(incarnation: string, deathSocket: string): WorkerView {
  const rest = { capacity: 1, held: 0, takeovers: 0, draining: false, version: '0', startedAt: 0, pid: 1 }
  return { incarnation, hostId: 'here', bootId: 'boot', deathSocket, ...rest }
}

test('a killed neighbour is dead at once, without another round', async () => {
  const { child, view } = await neighbour()
  watch.round([view])
  child.kill('SIGKILL')
  await waitFor('its death', () => dead.length > 0, 2_000, 1)
  expect(dead).toEqual([view.incarnation])
})

test('one that was dead before we looked is found at the first look', async () => {
  const { child, view } = await neighbour()
  child.kill('SIGKILL')
  await once(child, 'exit')
  watch.round([view])
  await waitFor('its death', () => dead.length > 0, 2_000, 1)
  expect(dead).toEqual([view.incarnation])
})

test('a stopped one is not dead, however often it is asked', async () => {
  const { child, view } = await neighbour()
  child.kill('SIGSTOP')
  const later = await neighbour()
  for (let round = 0; round < 20; round++) {
    watch.round([view, later.view])
    await new Promise((resolve) => setImmediate(resolve))
  }
  // The kill of another shows that proofs do arrive.
  later.child.kill('SIGKILL')
  await waitFor('the death of the other', () => dead.length > 0, 2_000, 1)
  expect(dead).toEqual([later.view.incarnation])
})

test('a missing file, another machine, another boot and ourselves prove nothing', async () => {
  const gone = await neighbour()
  await unlink(gone.view.deathSocket)
  const elsewhere = await neighbour()
  elsewhere.child.kill('SIGKILL')
  await once(elsewhere.child, 'exit')
  const proof = await neighbour()
  watch.round([
    gone.view,
    { ...elsewhere.view, incarnation: 'other host', hostId: 'there' },
    { ...elsewhere.view, incarnation: 'other boot', bootId: 'before' },
    { ...elsewhere.view, incarnation: 'myself', deathSocket: '/own' },
    proof.view,
  ])
  proof.child.kill('SIGKILL')
  await waitFor('the one real death', () => dead.length > 0, 2_000, 1)
  expect(dead).toEqual([proof.view.incarnation])
})

test('the proof of a death is kept until it has been dealt with', async () => {
  failures = 2
  const { child, view } = await neighbour()
  child.kill('SIGKILL')
  await once(child, 'exit')
  for (let told = 1; told <= 3; told++) {
    watch.round([view])
    await waitFor(`its death, ${told}`, () => dead.length === told, 2_000, 1)
  }
  await waitFor('its socket gone', async () => (await readdir(join(dir, 'workers'))).length === 0, 2_000, 1)
  expect(dead).toHaveLength(3)
})

test('of the sockets beside our own those are left over on which nobody has listened for a while', async () => {
  const own = await listenUntilDeath(dir)
  const [gone, living, stopped, young] = [await neighbour(), await neighbour(), await neighbour(), await neighbour()]
  stopped.child.kill('SIGSTOP')
  for (const { child } of [gone, young]) {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  const file = join(dir, 'workers', `${'0'.repeat(16)}.sock`)
  await writeFile(file, 'no socket')
  const longAgo = new Date(Date.now() - 3_600_000)
  for (const path of [own, file, ...[gone, living, stopped].map(({ view }) => view.deathSocket)])
    await utimes(path, longAgo, longAgo)
  const leftovers = await findLeftovers(own)
  expect(leftovers).toEqual([gone.view.deathSocket])
  await removeSockets(leftovers)
  expect(await findLeftovers(own)).toEqual([])
})

test('a data directory too deep for a socket path gets one in the temporary directory', async () => {
  const path = await listenUntilDeath(join(dir, 'x'.repeat(120)))
  expect(Buffer.byteLength(path)).toBeLessThanOrEqual(107)
  await unlink(path)
})

test('the boot id is the same for everybody on this machine', async () => {
  expect(await readBootId()).toBe(await readBootId())
})
