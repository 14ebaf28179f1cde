// What fails before one byte of a message has left: told apart from what may have arrived, and never blamed on the socket.
import type { WASocket } from '@whiskeysockets/baileys'
import { expect, test, vi } from 'vitest'
import { PendingAcks } from '../../src/whatsapp/pending-acks.ts'
import { sendAndAwaitAck } from '../../src/whatsapp/send-and-await-ack.ts'
import { createSessionCaches } from '../../src/whatsapp/session-caches.ts'
import type { OutgoingMessage } from '../../src/whatsapp/whatsapp-client.ts'

const message: OutgoingMessage = {
  whatsappId: '3EB0000000000000000001',
  recipient: '120363000000000001@g.us',
  type: 'text',
  content: { text: { body: 'habari' } },
  replyTo: null,
  mentions: [],
}

const libraryError = (text: string, fields: object = {}) => Object.assign(new Error(text), { isBoom: true, ...fields })
const answered = (code: number, text: string) => libraryError(text, { data: code })

/** A socket whose sends fail with these, one after the other, and then leave and are acked. */
function sendOver(failures: Error[], timeoutMs = 20_000) {
  const acks = new PendingAcks()
  const sendMessage = vi.fn(() => {
    const failure = failures.shift()
    if (failure) return Promise.reject(failure)
    queueMicrotask(() => acks.acked(message.whatsappId, null, 1))
    return Promise.resolve()
  })
  const signalRepository = { deleteSession: () => Promise.resolve(), lidMapping: { getLIDForPN: () => Promise.resolve(null) } }
  const socket = { user: { id: '254700000001:1@s.whatsapp.net' }, signalRepository, sendMessage } as unknown as WASocket
  const deps = {
    socket,
    acks,
    caches: createSessionCaches(),
    onRestricted: () => Promise.resolve(null),
    type: () => Promise.resolve(0),
  }
  return { acks, sendMessage, outcome: sendAndAwaitAck(deps, message, timeoutMs) }
}

test('a refusal of what is asked before a message is a refusal of the message, with its number', async () => {
  const { acks, sendMessage, outcome } = sendOver([answered(404, 'item-not-found')])
  expect(await outcome).toMatchObject({
    kind: 'rejected',
    code: 'rejected_by_whatsapp',
    ackError: 404,
    detail: expect.stringContaining('404'),
  })
  expect(sendMessage).toHaveBeenCalledTimes(1)
  expect(acks.unackedSince).toBeNull()
})

test('what cannot be encrypted is tried once more with fresh devices, and then concerns this recipient alone', async () => {
  const once = sendOver([libraryError('All encryptions failed')])
  expect((await once.outcome).kind).toBe('acked')
  const { sendMessage, outcome } = sendOver([libraryError('All encryptions failed'), libraryError('All encryptions failed')])
  expect(await outcome).toMatchObject({ kind: 'rejected', code: 'rejected_by_whatsapp', ackError: null })
  expect(sendMessage).toHaveBeenCalledTimes(2)
})

test('a server that is too busy is asked again later, on the same socket', async () => {
  const { sendMessage, outcome } = sendOver([answered(429, 'rate-overlimit')])
  expect((await outcome).kind).toBe('acked')
  expect(sendMessage).toHaveBeenCalledTimes(2)
})

test('busy for longer than a send may take is no outcome', async () => {
  const { outcome } = sendOver([answered(503, 'service-unavailable')], 500)
  expect(await outcome).toEqual({ kind: 'unknown', reason: 'service-unavailable' })
})

test('a socket that ends while the server is busy settles the send at once', async () => {
  const { acks, sendMessage, outcome } = sendOver([answered(429, 'rate-overlimit')])
  await vi.waitFor(() => expect(sendMessage).toHaveBeenCalled())
  acks.closeAll('the socket closed')
  expect(await outcome).toEqual({ kind: 'unknown', reason: 'the socket closed' })
})

test('a connection that closed says nothing of the message', async () => {
  const closed = libraryError('Connection Closed', { output: { statusCode: 428 } })
  expect(await sendOver([closed]).outcome).toEqual({ kind: 'unknown', reason: 'Connection Closed' })
})
