// One session worker as a real process: pairing, sending, receiving, and what users ask of a session.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callSession } from '../../src/sessions/session-command.ts'
import { readLiveSession } from '../../src/sessions/live-session.ts'
import { isPaired } from '../../src/sessions/session.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'
import { BreakerStates, countBreakers } from '../../src/webhooks/breaker-state.ts'
import { breakerDefaults } from '../../src/webhooks/endpoint-breaker.ts'
import { newEndpoint, newMessage } from '../support/records.ts'
import { waitFor } from '../support/wait.ts'
import { prefix, startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'

let rig: WorkerRig
const person = '254711000001'
beforeAll(async () => {
  rig = await startWorkerRig()
  await rig.sandbox.client.addPhone({ phoneNumber: person, autoRead: true })
  await rig.startWorker()
})
afterAll(async () => {
  if (process.env['SHOW_LOG']) console.log(rig.workers.map((worker) => worker.lines.join('\n')).join('\n'))
  await rig.close()
})

test('a new session is claimed, shows a QR code, is paired, and sends and receives', async () => {
  const id = await rig.addSession()
  await rig.pair(id, '254700000001')
  const session = await rig.session(id)
  expect(session).toMatchObject({ phoneNumber: '254700000001', network: 'sandbox', statusReason: null })
  expect((await rig.live(id)).qr).toBeNull()

  const message = await rig.send(id, person, 'hello')
  await waitFor('the message read', async () => (await rig.store.messages.get(id, message.id))?.status === 'read')
  expect((await rig.sandbox.client.messages(person)).map(({ text }) => text)).toEqual(['hello'])

  await rig.sandbox.client.sendFrom(person, { to: '254700000001', text: 'hi back' })
  const inbound = await waitFor('the answer stored', async () => {
    const { data } = await rig.store.messages.list({ sessionId: id, direction: 'inbound', limit: 10 })
    return data[0]
  })
  expect(inbound.content).toMatchObject({ text: { body: 'hi back' } })
})

test('statuses are told in order, each with its event', async () => {
  const id = await rig.addSession()
  await rig.pair(id, '254700000002')
  const events = await rig.store.events.list({ sessionId: id, types: ['session.status', 'session.qr'], limit: 50 })
  const told = events.map(({ type, data }) => (type === 'session.qr' ? 'qr' : (data['session'] as { status: string }).status))
  expect(told).toEqual(['pairing', 'qr', 'connecting', 'connected'])
  expect(JSON.stringify(events)).not.toContain('linked_devices')
})

test('a pairing code is made on request, returned again while it is valid, and pairs', async () => {
  const id = await rig.addSession()
  await waitFor('a QR code', async () => (await rig.live(id)).qr)
  await rig.sandbox.client.addPhone({ phoneNumber: '254700000003' })
  const deps = { redis: rig.commands, prefix }
  const first = await callSession(deps, id, 'pairing_code', { phoneNumber: '254700000003' })
  expect(first.code).toMatch(/^[0-9A-Z]{4}-[0-9A-Z]{4}$/)
  expect(await callSession(deps, id, 'pairing_code', { phoneNumber: '254700000003' })).toEqual(first)
  expect(await readLiveSession(deps, id)).toMatchObject({ pairingCode: first.code, pairingCodeFor: '254700000003' })
  await rig.sandbox.client.enterCode('254700000003', first.code)
  await rig.waitStatus(id, 'connected')
  await expect(callSession(deps, id, 'pairing_code', { phoneNumber: null })).rejects.toMatchObject({
    code: 'session_already_paired',
  })
})

test('contacts are checked through the live socket', async () => {
  const id = await rig.addSession()
  const deps = { redis: rig.commands, prefix }
  await waitFor('a holder', async () => (await rig.live(id)).holder)
  await expect(callSession(deps, id, 'contacts_check', { phoneNumbers: [person] })).rejects.toMatchObject({
    code: 'session_not_connected',
  })
  await rig.pair(id, '254700000004')
  const answer = await callSession(deps, id, 'contacts_check', { phoneNumbers: [person, '254799999999'] })
  expect(answer.map(({ phoneNumber, exists }) => [phoneNumber, exists])).toEqual([
    [person, true],
    ['254799999999', false],
  ])
})

test('disconnect, connect, logout and delete are carried out', async () => {
  const id = await rig.addSession()
  const phone = '254700000005'
  await rig.pair(id, phone)
  await rig.request(id, 'disconnect')
  expect(await rig.waitStatus(id, 'disconnected')).toMatchObject({ statusReason: 'requested', claimable: false })
  const waiting = await rig.send(id, person, 'sent after the pause')

  await rig.request(id, 'connect')
  await rig.waitStatus(id, 'connected')
  await waitFor('the waiting message sent', async () => (await rig.store.messages.get(id, waiting.id))?.status === 'read')

  await rig.request(id, 'logout')
  expect(await rig.waitStatus(id, 'logged_out')).toMatchObject({ statusReason: 'requested', phoneNumber: null, network: null })
  expect((await rig.sandbox.client.phone(phone)).linkedDevices).toEqual([])
  expect(await rig.store.credentials.readDataKey(id)).toBeNull()

  await rig.request(id, 'connect')
  await rig.pair(id, phone)
  const scheduled = await schedule(id)
  const endpoint = newEndpoint({ sessionId: id })
  await rig.store.endpoints.create(endpoint)
  await new BreakerStates(rig.commands, prefix).fail(endpoint.id, Date.now(), breakerDefaults, true)
  expect(await countBreakers(rig.commands, prefix)).toMatchObject({ open: 1 })
  const place = await rig.store.events.newestPlace()
  await rig.request(id, 'delete')
  await waitFor('the session gone', async () => (await rig.store.sessions.get(id)) === null)
  const { events } = await rig.store.events.read({ after: place, limit: 50 })
  expect(events).toContainEqual(
    expect.objectContaining({
      type: 'message.failed',
      sessionId: id,
      data: {
        message: expect.objectContaining({ id: scheduled.id, error: expect.objectContaining({ code: 'session_deleted' }) }),
      },
    }),
  )
  expect((await rig.sandbox.client.phone(phone)).linkedDevices).toEqual([])
  await waitFor('nothing of it left in Redis', async () => (await rig.commands.keys(`${prefix}*${id}*`)).length === 0)
  await waitFor('no breaker of its endpoint is told of', async () => {
    const { open, 'half-open': halfOpen } = await countBreakers(rig.commands, prefix)
    return open + halfOpen === 0
  })
})

test('a session unlinked on the phone is logged out, keeps what waits, and fails it when another number is paired', async () => {
  const id = await rig.addSession()
  await rig.pair(id, '254700000006')
  await makeContact(id)
  await restrict(id)
  const scheduled = await schedule(id)
  await rig.sandbox.client.unlink('254700000006')
  expect(await rig.waitStatus(id, 'logged_out')).toMatchObject({ statusReason: 'device_removed', claimable: false })
  expect(await rig.store.credentials.readDataKey(id)).toBeNull()
  const message = await rig.send(id, person, 'from the old number')
  expect(await rig.store.messages.queueState(id)).toMatchObject({ depth: 1, scheduled: 1 })
  await rig.request(id, 'connect')
  await rig.pair(id, '254700000007')
  for (const each of [message, scheduled]) {
    const error = { code: 'session_logged_out' }
    expect(await rig.store.messages.get(id, each.id)).toMatchObject({ status: 'failed', error })
  }
  expect(await rig.session(id)).toMatchObject({ phoneNumber: '254700000007', restriction: null })
  expect(await rig.store.messages.newContacts(id, 0, 0)).toMatchObject({ firstAt: null })
})

test('a log-out fails what is scheduled too; only another number forgets the contacts, and what was accepted since leaves', async () => {
  const id = await rig.addSession()
  await rig.pair(id, '254700000008')
  await makeContact(id)
  const scheduled = await schedule(id)
  await rig.request(id, 'logout')
  await rig.waitStatus(id, 'logged_out')
  const error = { code: 'session_logged_out' }
  expect(await rig.store.messages.get(id, scheduled.id)).toMatchObject({ status: 'failed', error })

  await rig.request(id, 'connect')
  await rig.pair(id, '254700000008')
  expect(await rig.store.messages.newContacts(id, 0, 0)).toMatchObject({ firstAt: expect.any(Number) })

  await rig.request(id, 'logout')
  await rig.waitStatus(id, 'logged_out')
  const since = await rig.send(id, person, 'for whoever is paired')
  const contact = await waitFor('the contact', async () => (await rig.store.messages.newContacts(id, 0, 0)).firstAt)
  await rig.request(id, 'connect')
  await rig.pair(id, '254700000009')
  await waitFor('the later message read', async () => (await rig.store.messages.get(id, since.id))?.status === 'read')
  expect((await rig.store.messages.newContacts(id, 0, 0)).firstAt).toBeGreaterThan(contact)
})

test('what a worker that died had not failed of another number, the next one fails before anything leaves', async () => {
  const id = await rig.addSession()
  await rig.pair(id, '254700000010')
  await rig.workers.at(-1)?.end('SIGKILL')
  // As it stands then: the credentials are the new number's, the rest is still the former's.
  await rig.store.sessions.update(id, (await rig.session(id)).epoch, { phoneNumber: '254700000011' }, () => [])
  const messages = [await rig.send(id, person, 'from the former number'), await schedule(id)]
  await rig.startWorker()
  await waitFor('the new number', async () => (await rig.session(id)).phoneNumber === '254700000010')
  for (const { id: messageId } of messages)
    expect(await rig.store.messages.get(id, messageId)).toMatchObject({ status: 'failed', attemptCount: 0 })
})

test.each([
  ['of a new session', {}],
  ['begun while a log-out was being carried out', { status: 'connected', network: 'sandbox' }],
] as const)(
  'a pairing that is not finished in time ends as disconnected, and there is something to scan again: %s',
  async (_, left) => {
    const { settings } = (await import('../support/records.ts')).newSession().session
    const id = await rig.addSession({ ...left, settings: { ...settings, pairingTimeoutSeconds: 2 } })
    const ended = await rig.waitStatus(id, 'disconnected')
    expect(ended).toMatchObject({ statusReason: 'pairing_timed_out', claimable: false })
    expect(isPaired(ended)).toBe(false)
    await waitFor('no code is shown any more', async () => (await rig.live(id)).qr === null)
  },
)

test('SIGTERM ends the worker cleanly and leaves no lease behind', async () => {
  const worker = rig.workers.at(-1)
  expect(await worker?.end('SIGTERM')).toBe(0)
  for (const key of await rig.commands.keys(`${prefix}:session:*:lease`)) {
    expect(await rig.commands.hget(key, 'owner')).toBeNull()
  }
  expect(await rig.commands.keys(`${prefix}:worker:*`)).toEqual([])
})

async function makeContact(id: string): Promise<void> {
  const message = await rig.send(id, person, 'a first word')
  await waitFor('the first word read', async () => (await rig.store.messages.get(id, message.id))?.status === 'read')
}

async function restrict(id: string): Promise<void> {
  const restriction = { reason: 'reach_out_restricted', until: Date.now() + 3_600_000 }
  await rig.store.sessions.update(id, (await rig.session(id)).epoch, { restriction }, () => [])
}

async function schedule(id: string): Promise<MessageRecord> {
  const sendAt = Date.now() + 3_600_000
  const message = newMessage(id, {
    status: 'scheduled',
    sendAt,
    address: { input: person, phoneNumber: person, lid: null, groupId: null },
  })
  await rig.store.messages.accept({ message, idempotency: null, maxQueueDepth: 10, now: Date.now() }, () => [])
  return message
}
