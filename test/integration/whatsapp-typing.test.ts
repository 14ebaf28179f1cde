// "typing…" before a message: seen by the recipient, ended by the message, cut short by whatever ends the send.
import { expect, test } from 'vitest'
import { business, friendForEachTest } from '../support/friend-for-each-test.ts'
import type { TestSandbox } from '../support/sandbox.ts'
import { waitFor } from '../support/wait.ts'
import type { WhatsAppSession } from '../support/whatsapp-session.ts'

let sandbox: TestSandbox
let session: WhatsAppSession
let friend: string
friendForEachTest((opened) => ({ sandbox, session, friend } = opened))

const shown = async () => (await sandbox.client.messages(friend)).filter(({ fromMe }) => !fromMe)
const typing = async () => (await sandbox.client.phone(friend)).typing
const seenTyping = () => waitFor('the phone shows typing', async () => (await typing()).length > 0)

test.each(['phone number', 'LID'])('a recipient addressed by %s sees typing, then the message, which ends it', async (kind) => {
  const { lid } = await sandbox.client.phone(friend)
  const to = kind === 'LID' ? `${lid}@lid` : friend
  const sending = session.open.send(session.message(to, 'Habari', { typingMs: 700 }), 10_000)
  await seenTyping()
  expect(await typing()).toMatchObject([{ from: business, endedAt: null }])
  expect(await shown()).toEqual([])
  expect((await sending).kind).toBe('acked')
  await waitFor('it shown', async () => (await shown()).length === 1)
  const [seen] = await typing()
  expect(Date.parse(seen?.endedAt ?? '') - Date.parse(seen?.at ?? '')).toBeGreaterThanOrEqual(600)
})

test('without it nothing is seen but the message', async () => {
  expect((await session.open.send(session.message(friend, 'Habari'), 10_000)).kind).toBe('acked')
  await waitFor('it shown', async () => (await shown()).length === 1)
  expect(await typing()).toEqual([])
})

test('the time for the ack counts from the frame, not from the typing', async () => {
  const outcome = await session.open.send(session.message(friend, 'Habari', { typingMs: 2_500 }), 2_000)
  expect(outcome.kind).toBe('acked')
})

test('who is in a hurry sends at once', async () => {
  const hurry = new AbortController()
  const sending = session.open.send(session.message(friend, 'Habari', { typingMs: 60_000 }), 10_000, hurry.signal)
  await seenTyping()
  hurry.abort()
  expect((await sending).kind).toBe('acked')
  await waitFor('it shown', async () => (await shown()).length === 1)
})

test('a socket that closes meanwhile leaves the outcome unknown at once, and the next one sends the message once', async () => {
  const message = session.message(friend, 'Habari', { typingMs: 60_000 })
  const sending = session.open.send(message, 10_000)
  await seenTyping()
  await sandbox.client.fault({ kind: 'reset' })
  expect((await sending).kind).toBe('unknown')
  await session.reconnect()
  expect((await session.open.send({ ...message, typingMs: 0 }, 10_000)).kind).toBe('acked')
  await waitFor('it shown', async () => (await shown()).length === 1)
  expect(await shown()).toMatchObject([{ id: message.whatsappId, duplicatesSeen: 0 }])
  expect(await typing()).toHaveLength(1)
})

test('a lease lost while typing: not one byte of the message leaves', async () => {
  const sending = session.open.send(session.message(friend, 'Habari', { typingMs: 500 }), 5_000)
  await seenTyping()
  session.mayWrite = false
  expect((await sending).kind).toBe('unknown')
  expect(await shown()).toEqual([])
})

test('a number that is not on WhatsApp is typed to no more than it is written to', async () => {
  const startedAt = performance.now()
  const outcome = await session.open.send(session.message('254799999999', 'Habari', { typingMs: 60_000 }), 5_000)
  expect(outcome).toMatchObject({ kind: 'rejected', code: 'recipient_not_on_whatsapp' })
  expect(performance.now() - startedAt).toBeLessThan(60_000)
})
