// A session worker as a real process: the proxy of a session is changed, dies and comes back, and nothing goes past it.
import { dirname, join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { editSession } from '../../src/sessions/edit-session.ts'
import { createKeyRing } from '../../src/store/key-ring.ts'
import { startTestProxy, type TestProxy } from '../support/proxies.ts'
import { waitFor } from '../support/wait.ts'
import { loopbackAllowed } from '../support/webhooks.ts'
import type { WorkerProcess } from '../support/worker-process.ts'
import { logged, prefix, startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'

const person = '254711000951'
const business = '254700002951'
const log = pino({ level: 'silent' })
let rig: WorkerRig
let worker: WorkerProcess
let proxies: TestProxy[]
let id: string
beforeAll(async () => {
  rig = await startWorkerRig({ UJUMBE_WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8' })
  proxies = await Promise.all([startTestProxy('http'), startTestProxy('socks5h')])
  await rig.sandbox.client.addPhone({ phoneNumber: person })
  worker = await rig.startWorker()
  id = await rig.addSession()
  await rig.pair(id, business)
}, 60_000)
afterAll(async () => {
  await rig.close()
  await Promise.all(proxies.map((proxy) => proxy.close()))
})

async function setProxy(proxyUrl: string | null, sessionId = id, wakePrefix = prefix): Promise<void> {
  const embeddedCredentialsKeyPath = join(dirname(rig.storePath), 'credentials-key')
  const secretBox = createKeyRing({ credentialsKey: undefined, credentialsKeyFile: undefined, embeddedCredentialsKeyPath }, log)
  const deps = {
    sessions: rig.store.sessions,
    secretBox,
    guardPolicy: loopbackAllowed,
    redis: rig.commands,
    prefix: wakePrefix,
    log,
  }
  await editSession(deps, sessionId, { settings: { proxyUrl }, isAdmin: true })
}

const texts = async () => (await rig.sandbox.client.messages(person)).filter(({ fromMe }) => !fromMe).map(({ text }) => text)

async function arrives(body: string): Promise<void> {
  await rig.send(id, person, body)
  await waitFor(body, async () => (await texts()).includes(body), 30_000)
}

const connectedBy = (proxy: TestProxy, more: number) =>
  waitFor(
    'connected through it',
    async () =>
      proxy.tunnelCount >= more && (await rig.session(id)).status === 'connected' && (await rig.live(id)).state === 'connected',
    30_000,
  )

test('a change takes effect on a connection that stands; a proxy that dies is waited for, and nothing goes past it', async () => {
  const [first, second] = proxies as [TestProxy, TestProxy]
  await arrives('directly')
  await setProxy(first.url())
  await connectedBy(first, 1)
  await arrives('by the first')
  await setProxy(second.url())
  await connectedBy(second, 1)
  await arrives('by the second')
  expect(first.tunnelCount).toBe(1)

  await second.kill()
  const failed = () => rig.session(id).then(({ statusReason }) => statusReason === 'proxy_failed')
  await waitFor('the status says why', failed, 30_000)
  expect((await rig.session(id)).status).toBe('reconnecting')
  await rig.send(id, person, 'waits')
  const tries = () => logged(worker, 'socket.closed').filter(({ reason }) => reason === 'proxy_failed').length
  await waitFor('it has tried again and again', () => tries() >= 3, 30_000)
  expect(await rig.sandbox.client.stats()).toMatchObject({ socketsOpen: 0 })
  expect(await texts()).not.toContain('waits')
  await second.revive()
  await connectedBy(second, 2)
  await waitFor('what waited is there', async () => (await texts()).includes('waits'), 30_000)

  // While it waits to try again, another proxy is tried at once.
  await second.kill()
  await waitFor('it fails', failed, 30_000)
  await setProxy(first.url())
  await connectedBy(first, 2)
  await setProxy(null)
  await waitFor('closed', async () => logged(worker, 'socket.closed').at(-1)?.['reason'] === 'proxy_changed')
  await arrives('directly again')
  expect([first.tunnelCount, second.tunnelCount]).toEqual([2, 2])
  expect(await texts()).toEqual(['directly', 'by the first', 'by the second', 'waits', 'directly again'])
  expect(worker.lines.join('\n')).not.toContain('mango')
}, 150_000)

test('a change that nobody heard of takes effect when the worker hears from Redis again', async () => {
  const [first] = proxies as [TestProxy]
  const before = first.tunnelCount
  await setProxy(first.url(), id, 'nobody-listens-here')
  await arrives('still directly')
  expect(first.tunnelCount).toBe(before)
  await rig.commands.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await connectedBy(first, before + 1)
  await arrives('by the proxy')
}, 60_000)

test('a session that is not paired yet says why no code comes, until the proxy lets it through', async () => {
  const [first] = proxies as [TestProxy]
  const fresh = await rig.addSession()
  await waitFor('a code', async () => (await rig.live(fresh)).qr, 30_000)
  await setProxy(first.url('kiosk:wrong'), fresh)
  await waitFor('it says why', async () => (await rig.session(fresh)).statusReason === 'proxy_failed', 30_000)
  expect((await rig.session(fresh)).status).toBe('pairing')
  await setProxy(first.url(), fresh)
  await waitFor('it says nothing any more', async () => (await rig.session(fresh)).statusReason === null, 30_000)
  await rig.pair(fresh, '254700002952')
}, 90_000)
