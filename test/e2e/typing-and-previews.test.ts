// Typing and link previews through a real worker and an unmodified Baileys: what the phone shows, also when the worker goes meanwhile.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { acceptMessage } from '../../src/messages/accept-message.ts'
import { typingMsOf } from '../../src/messages/typing-time.ts'
import { SendQueues } from '../../src/messages/send-queue.ts'
import { unpaced } from '../../scripts/support/api-client.ts'
import { newSession } from '../support/records.ts'
import { textRequest } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'
import { prefix, startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'

const person = '254711000001'
const longText = 'Habari ya leo? '.repeat(20)
let rig: WorkerRig
beforeEach(async () => {
  rig = await startWorkerRig({ UJUMBE_LEASE_TTL_MS: '3000', UJUMBE_WEBHOOK_ALLOWED_NETWORKS: '127.0.0.1' })
  await rig.sandbox.client.addPhone({ phoneNumber: person })
})
afterEach(async () => {
  if (process.env['SHOW_LOG']) console.log(rig.workers.map((worker) => worker.lines.join('\n')).join('\n'))
  await rig.close()
})

const shown = async () => (await rig.sandbox.client.messages(person)).filter(({ fromMe }) => !fromMe)
const typing = async () => (await rig.sandbox.client.phone(person)).typing
const arrived = () => waitFor('it shown', async () => (await shown()).length === 1, 60_000)

async function addTypist(): Promise<string> {
  const { settings } = newSession().session
  const id = await rig.addSession({ settings: { ...settings, ...unpaced, typing: true } })
  await rig.pair(id, '254700000101')
  return id
}

test.each(['SIGTERM', 'SIGKILL'] as const)(
  '%s while the person sees typing: the message is shown once',
  async (signal) => {
    const first = await rig.startWorker()
    const id = await addTypist()
    const message = await rig.send(id, person, longText)
    expect(typingMsOf(message)).toBe(2_500)
    await waitFor('typing', async () => (await typing()).length > 0)
    expect(await shown()).toEqual([])
    const ended = first.end(signal)
    await rig.startWorker()
    await ended
    await arrived()
    const sent = async () => ['sent', 'delivered', 'read'].includes((await rig.store.messages.get(id, message.id))?.status ?? '')
    await waitFor('it sent', sent, 60_000)
    expect(await shown()).toMatchObject([{ id: message.whatsappId, duplicatesSeen: 0 }])
    expect(await typing()).toHaveLength(1)
  },
  120_000,
)

test('a text that asks for it arrives with title and description of its page', async () => {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'text/html').end('<title>Clinic</title><meta name=description content="Open daily">')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const worker = await rig.startWorker()
    const id = await addTypist()
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/open?token=s3cret`
    const content = { text: { body: `Karibu ${url}`, linkPreview: true } }
    const { sessions, messages } = rig.store
    const queues = new SendQueues(rig.commands, prefix)
    const deps = {
      sessions,
      messages,
      queues,
      redis: rig.commands,
      prefix,
      announce: () => undefined,
      log: pino({ level: 'silent' }),
    }
    const send = () =>
      acceptMessage(deps, { sessionId: id, request: textRequest(`+${person}`, '', { content }), idempotencyKey: null })
    await send()
    await arrived()
    // This one the phone has to ask for again.
    await rig.sandbox.client.fault({ kind: 'undecryptable', count: 1 })
    await send()
    await waitFor('both shown', async () => (await shown()).length === 2, 60_000)
    queues.close()
    expect((await rig.sandbox.client.phone(person)).counts.decryptFailures).toBe(1)
    const expected = { text: `Karibu ${url}`, linkPreview: { url, title: 'Clinic', description: 'Open daily' } }
    expect(await shown()).toMatchObject([expected, expected])
    expect(worker.lines.join('\n')).not.toContain('s3cret')
  } finally {
    server.closeAllConnections()
    server.close()
  }
}, 120_000)
