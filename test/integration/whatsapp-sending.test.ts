// Sending: what counts as sent, what does not, and that nobody sees anything twice.
import { expect, test } from 'vitest'
import { createSessionCaches } from '../../src/whatsapp/session-caches.ts'
import { business, friendForEachTest } from '../support/friend-for-each-test.ts'
import type { TestSandbox } from '../support/sandbox.ts'
import { waitFor } from '../support/wait.ts'
import { WhatsAppSession } from '../support/whatsapp-session.ts'

let sandbox: TestSandbox
let session: WhatsAppSession
let friend: string
friendForEachTest((opened) => ({ sandbox, session, friend } = opened), { autoRead: true })

const shown = async (phoneNumber = friend) => (await sandbox.client.messages(phoneNumber)).filter(({ fromMe }) => !fromMe)

test('a text is acked by the server, decrypted on the phone, then delivered and read', async () => {
  const message = session.message(friend, 'Habari ya leo? 🌍')
  const outcome = await session.open.send(message, 10_000)
  expect(outcome).toMatchObject({ kind: 'acked', lid: expect.stringMatching(/^\d+@lid$/) })
  await waitFor('it read', () =>
    session.receipts.find(({ whatsappIds, status }) => status === 'read' && whatsappIds.includes(message.whatsappId)),
  )
  const statuses = session.receipts
    .filter(({ whatsappIds }) => whatsappIds.includes(message.whatsappId))
    .map(({ status }) => status)
  expect(statuses).toEqual(['delivered', 'read'])
  expect(await shown()).toMatchObject([{ id: message.whatsappId, text: 'Habari ya leo? 🌍', duplicatesSeen: 0 }])
  const own = await sandbox.client.messages(business, { chat: friend })
  expect(own).toMatchObject([{ id: message.whatsappId, fromMe: true, text: 'Habari ya leo? 🌍' }])
})

test('the privacy token given to a contact is on record, and is not given again with the next message', async () => {
  const tokensOf = (lid: string) =>
    session.credentials.writes.flat().filter(({ type, id }) => type === 'tctoken' && id.startsWith(lid))
  const { lid } = await sandbox.client.phone(friend)
  await session.open.send(session.message(friend, 'kwanza'), 10_000)
  await waitFor('it is on record', () => tokensOf(lid).length > 0)
  const given = tokensOf(lid).length
  await session.open.send(session.message(friend, 'pili'), 10_000)
  // Asked and answered on the same socket after all that the message could have asked.
  expect(await session.open.ping(5_000)).toBe(true)
  expect(tokensOf(lid)).toHaveLength(given)
})

test('to a LID as well', async () => {
  const { lid } = await sandbox.client.phone(friend)
  const message = session.message(`${lid}@lid`, 'kwa LID')
  expect(await session.open.send(message, 10_000)).toMatchObject({ kind: 'acked', lid: `${lid}@lid` })
  await waitFor('it shown', async () => (await shown()).length === 1)
})

test('one id sent twice, the second time on a new socket with nothing remembered, is shown once', async () => {
  const message = session.message(friend, 'mara moja')
  expect((await session.open.send(message, 10_000)).kind).toBe('acked')
  await session.close()
  session.caches = createSessionCaches()
  await session.reconnect()
  expect((await session.open.send(message, 10_000)).kind).toBe('acked')
  await waitFor('the second copy', async () => (await shown())[0]?.duplicatesSeen === 1)
  expect(await shown()).toHaveLength(1)
})

test('a number that is not on WhatsApp is refused before anything is sent, and asked for only once', async () => {
  const before = await sandbox.client.stats()
  const outcomes = [await session.send('254799999999', 'hakuna'), await session.send('254799999999', 'hakuna')]
  expect(outcomes).toMatchObject([
    { kind: 'rejected', code: 'recipient_not_on_whatsapp', ackError: null },
    { kind: 'rejected', code: 'recipient_not_on_whatsapp', ackError: null },
  ])
  const after = await sandbox.client.stats()
  expect(after.acks).toBe(before.acks)
})

test('a group that is not there is a refusal of that message, and the socket goes on', async () => {
  const outcome = await session.send('120363999999999999@g.us', 'hakuna kundi')
  expect(outcome).toMatchObject({ kind: 'rejected', code: 'rejected_by_whatsapp', ackError: 404 })
  expect((await session.send(friend, 'baadaye')).kind).toBe('acked')
  expect(session.closes.filter(({ reason }) => reason !== 'restart_required' && reason !== 'closed_by_us')).toEqual([])
})

test('contacts are checked many at once, each with its LID', async () => {
  const { lid } = await sandbox.client.phone(friend)
  const answers = await session.open.checkContacts([friend, '254799999998', business])
  expect(answers).toMatchObject([
    { phoneNumber: friend, exists: true, lid: `${lid}@lid` },
    { phoneNumber: '254799999998', exists: false, lid: null },
    { phoneNumber: business, exists: true },
  ])
})

test('an error number in the ack is a refusal that says so', async () => {
  await sandbox.client.fault({ kind: 'ack_error', code: 400 })
  expect(await session.send(friend, 'hapana')).toMatchObject({
    kind: 'rejected',
    code: 'rejected_by_whatsapp',
    ackError: 400,
    detail: expect.stringContaining('400'),
  })
  expect(await shown()).toEqual([])
})

test('463 is a restriction of new contacts: reported as such and never tried again', async () => {
  await sandbox.client.fault({ kind: 'restrict', until: Date.now() + 3_600_000 })
  const message = session.message(friend, 'mgeni')
  expect(await session.open.send(message, 10_000)).toMatchObject({
    kind: 'rejected',
    code: 'reach_out_restricted',
    ackError: 463,
  })
  await waitFor('the restriction', () => session.restrictions.length > 0)
  expect(await shown()).toEqual([])
  await sandbox.client.sendFrom(friend, { to: business, text: 'naandika kwanza' })
  await waitFor('the inbound', () => session.inbound.some(({ content }) => JSON.stringify(content).includes('naandika kwanza')))
  expect((await session.send(friend, 'karibu')).kind).toBe('acked')
})

test('bytes written are not acceptance: without the ack the outcome is unknown, in time', async () => {
  await sandbox.client.fault({ kind: 'drop_acks' })
  const startedAt = performance.now()
  // To oneself: nobody sends a receipt that would prove it.
  expect(await session.open.send(session.message(business, 'kimya'), 500)).toMatchObject({ kind: 'unknown' })
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(499)
})

test('a receipt proves as much as the ack that was lost', async () => {
  expect((await session.send(friend, 'joto')).kind).toBe('acked')
  await sandbox.client.fault({ kind: 'drop_acks' })
  expect(await session.open.send(session.message(friend, 'bila jibu'), 10_000)).toMatchObject({ kind: 'acked' })
})

test('an ack that comes after its send was given up is reported late', async () => {
  expect((await session.send(friend, 'joto')).kind).toBe('acked')
  await sandbox.client.fault({ kind: 'latency', ms: 1_000 })
  const message = session.message(friend, 'polepole')
  expect(await session.open.send(message, 200)).toMatchObject({ kind: 'unknown' })
  await waitFor('the late ack', () => session.lateAcks.includes(message.whatsappId))
  await sandbox.client.clearFaults()
})

test('a dead socket is not counted as sent', async () => {
  expect((await session.send(friend, 'joto')).kind).toBe('acked')
  await sandbox.client.fault({ kind: 'stall' })
  expect(await session.open.send(session.message(friend, 'kufa'), 500)).toMatchObject({ kind: 'unknown' })
  expect(await session.open.ping(300)).toBe(false)
  await session.close()
})

test('a socket that closes under a send settles it at once', async () => {
  expect((await session.send(friend, 'joto')).kind).toBe('acked')
  await sandbox.client.fault({ kind: 'drop_acks' })
  await sandbox.client.changePhone(friend, { autoRead: false })
  const closes = session.closes.length
  const sending = session.open.send(session.message('254799999997', 'katikati'), 60_000)
  await sandbox.client.fault({ kind: 'reset' })
  await session.waitClosed(closes + 1)
  expect(['unknown', 'rejected']).toContain((await sending).kind)
  expect(await session.client?.send(session.message(friend, 'baadaye'), 60_000)).toMatchObject({ kind: 'unknown' })
})

test('without a trusted lease not one frame leaves: the socket is destroyed instead', async () => {
  expect((await session.send(friend, 'joto')).kind).toBe('acked')
  await waitFor('it shown', async () => (await shown()).length === 1)
  const closes = session.closes.length
  session.mayWrite = false
  expect(await session.open.send(session.message(friend, 'bila ruhusa'), 5_000)).toMatchObject({ kind: 'unknown' })
  expect(await session.waitClosed(closes + 1)).toMatchObject({ reason: 'lease_lost', action: 'none' })
  session.mayWrite = true
  await session.reconnect()
  expect((await session.send(friend, 'na ruhusa')).kind).toBe('acked')
  await waitFor('it shown', async () => (await shown()).length === 2)
  expect((await shown()).map(({ text }) => text)).toEqual(['joto', 'na ruhusa'])
})

test('keys are stored before the bytes leave', async () => {
  expect((await session.send(friend, 'joto')).kind).toBe('acked')
  await waitFor('it shown', async () => (await shown()).length === 1)
  const shownAtWrite: number[] = []
  session.credentials.beforeWrite = async (entries) => {
    if (entries.some(({ type }) => type === 'session')) shownAtWrite.push((await shown()).length)
  }
  expect((await session.send(friend, 'baada ya kuandika')).kind).toBe('acked')
  session.credentials.beforeWrite = () => undefined
  expect(shownAtWrite[0]).toBe(1)
  await waitFor('it shown', async () => (await shown()).length === 2)
})

test('a warm send reads nothing from the store and writes once', async () => {
  for (const text of ['joto', 'zaidi']) expect((await session.send(friend, text)).kind).toBe('acked')
  await waitFor('both read', () => session.receipts.filter(({ status }) => status === 'read').length >= 2)
  const { readCount } = session.credentials
  const writeCount = session.credentials.writes.length
  expect((await session.send(friend, 'moto')).kind).toBe('acked')
  expect(session.credentials.readCount - readCount).toBe(0)
  expect(session.credentials.writes.length - writeCount).toBe(1)
})

test('a refused credential write ends the socket, and nobody retries on it', async () => {
  expect((await session.send(friend, 'joto')).kind).toBe('acked')
  const closes = session.closes.length
  session.credentials.isStale = true
  expect(await session.open.send(session.message(friend, 'zamani'), 5_000)).toMatchObject({ kind: 'unknown' })
  expect(await session.waitClosed(closes + 1)).toMatchObject({ reason: 'stale_epoch', action: 'none' })
  session.credentials.isStale = false
  expect((await shown()).map(({ text }) => text)).not.toContain('zamani')
})

test('a quoted message and mentions arrive', async () => {
  await sandbox.client.sendFrom(friend, { to: business, text: 'swali' })
  const question = await waitFor('the question', () =>
    session.inbound.find(({ content }) => JSON.stringify(content).includes('swali')),
  )
  const replyTo = { whatsappId: question.whatsappId, text: 'swali', fromMe: false, participant: null }
  const answer = session.message(friend, '@254700000001 jibu', { replyTo, mentions: [business] })
  expect((await session.open.send(answer, 10_000)).kind).toBe('acked')
  await waitFor('the answer', async () =>
    (await shown()).some(({ id, replyTo: to }) => id === answer.whatsappId && to === question.whatsappId),
  )
})

test('a type that cannot be sent is refused, not lost', async () => {
  const outcome = await session.open.send({ ...session.message(friend, 'x'), type: 'image', content: { image: {} } }, 1_000)
  expect(outcome).toMatchObject({ kind: 'rejected', code: 'not_yet_supported' })
})

test('200 sends in a row let timers of the same process run in between', async () => {
  const quiet = new WhatsAppSession(sandbox.url)
  await sandbox.client.addPhone({ phoneNumber: '254700000009' })
  await quiet.pair(sandbox, '254700000009')
  let ticks = 0
  const timer = setInterval(() => (ticks += 1), 5)
  for (let i = 0; i < 200; i += 1) expect((await quiet.send(friend, `#${i}`)).kind).toBe('acked')
  clearInterval(timer)
  expect(ticks).toBeGreaterThan(10)
  await quiet.close()
  await waitFor('all shown', async () => (await shown()).length === 200, 30_000)
  expect((await sandbox.client.phone(friend)).counts).toMatchObject({ duplicates: 0, orderViolations: 0, decryptFailures: 0 })
})
