// Pacing over the whole fleet, counted where it matters: on the phones.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { DemoSession } from '../../scripts/demo/pair.ts'
import type { ApiClient, MessageResource } from '../../scripts/support/api-client.ts'
import { startTestFleet, type TestFleet } from '../support/fleet.ts'
import { waitFor } from '../support/wait.ts'

interface PacedMessage extends MessageResource {
  position: number | null
  estimatedSendAt: string | null
  heldBy?: string
  heldUntil?: string
}

let rig: TestFleet
beforeAll(async () => {
  rig = await startTestFleet({ sessions: 3 })
})
afterAll(() => rig.close())

let lastPhone = 254722000000
async function newPhones(count: number): Promise<string[]> {
  const numbers = Array.from({ length: count }, () => String((lastPhone += 1)))
  for (const phoneNumber of numbers) await rig.sandbox.addPhone({ phoneNumber })
  return numbers
}

const clientOf = (session: DemoSession): ApiClient => rig.fleet.admin.withKey(session.apiKey)
const send = (session: DemoSession, to: string, body: string, more: object = {}) =>
  clientOf(session).call<PacedMessage>('POST', '/v1/messages', { to, type: 'text', text: { body }, ...more })
const read = (session: DemoSession, id: string) => clientOf(session).call<PacedMessage>('GET', `/v1/messages/${id}`)
const reached = (session: DemoSession, messages: readonly PacedMessage[], status: string) =>
  waitFor(
    `${messages.length} messages are ${status}`,
    async () => (await Promise.all(messages.map(({ id }) => read(session, id)))).every((each) => each.timestamps[`${status}At`]),
    60_000,
    200,
  )
const change = (session: DemoSession, settings: object) =>
  rig.fleet.admin.call('PATCH', `/v1/sessions/${session.id}`, { settings })

/** When each message came to its phone, in order. */
async function arrivals(phones: readonly string[], session: string): Promise<number[]> {
  const shown = await Promise.all(phones.map((phone) => rig.sandbox.messages(phone, { chat: session })))
  return shown
    .flatMap((messages) => messages.filter(({ fromMe }) => !fromMe).map(({ at }) => Date.parse(at)))
    .toSorted((a, b) => a - b)
}

test.concurrent('phones see no more than the rate in any minute, and all of it while there is work', async () => {
  const business = '254700000011'
  const perMinute = 120
  const settings = { messagesPerMinute: perMinute, burst: 1, perRecipientSeconds: null, newContactsPerDay: null }
  const session = await rig.pairedSession(business, settings)
  const phones = await newPhones(20)
  const messages: PacedMessage[] = []
  // Four more than fit into a minute: a rate that is four per cent too high would bring them all within one.
  for (let n = 0; n < perMinute + 4; n += 1) {
    const message = await send(session, phones[n % phones.length] ?? '', `#${n}`)
    expect(message).toMatchObject({ position: expect.any(Number) as number, estimatedSendAt: expect.any(String) as string })
    messages.push(message)
  }
  const all = async () => (await arrivals(phones, business)).length === messages.length
  await waitFor('all are there', all, 120_000, 1_000)
  // In whole seconds, as WhatsApp tells time: of minutes that begin with a second.
  const came = await arrivals(phones, business)
  const most = Math.max(...came.map((from, n) => came.slice(n).filter((at) => at < from + 60_000).length))
  expect(most).toBeLessThanOrEqual(perMinute)
  const { data } = await clientOf(session).messages('direction=outbound&limit=200')
  const left = data.map(({ timestamps }) => Date.parse(timestamps['sendingAt'] ?? '')).toSorted((a, b) => a - b)
  // What a busy machine delays by more than a fifth of a second is not made up for: the best stretch shows the pace that is meant.
  const stretch = 20
  const best = Math.min(...left.slice(stretch).map((at, n) => (at - (left[n] ?? 0)) / stretch))
  expect(best).toBeLessThanOrEqual(60_000 / (0.97 * perMinute))
})

test.concurrent('settings, lanes, times and cancel work on a running session', async () => {
  const session = await rig.pairedSession('254700000012', {
    messagesPerMinute: 1,
    perRecipientSeconds: null,
    newContactsPerDay: null,
  })
  const [a, b, c, d] = (await newPhones(4)) as [string, string, string, string]
  const first = await send(session, a, 'first')
  await reached(session, [first], 'sent')
  const normal = await send(session, b, 'normal')
  const bulk = await send(session, d, 'bulk', { priority: 'bulk' })
  const high = await send(session, c, 'high', { priority: 'high' })
  const canceled = await send(session, a, 'never')
  const later = await send(session, a, 'later', { sendAt: new Date(Date.now() + 3_000).toISOString() })
  const worthless = await send(session, b, 'worthless', { expiresAt: new Date(Date.now() + 500).toISOString() })
  const next = await read(session, high.id)
  expect(next).toMatchObject({ status: 'queued', position: 0, heldBy: 'session' })
  expect(Date.parse(next.heldUntil ?? '')).toBeGreaterThan(Date.now() + 30_000)
  await clientOf(session).call('DELETE', `/v1/messages/${canceled.id}`)
  await waitFor('it expired', async () => (await read(session, worthless.id)).status === 'expired')
  await change(session, { messagesPerMinute: null })
  await reached(session, [normal, bulk, high, later], 'sent')
  const [sentHigh, sentNormal, sentBulk, sentLater] = await Promise.all(
    [high, normal, bulk, later].map(async ({ id }) => (await read(session, id)).timestamps['sendingAt'] ?? ''),
  )
  expect([sentHigh, sentNormal, sentBulk]).toEqual(
    [sentHigh, sentNormal, sentBulk].toSorted((x = '', y = '') => x.localeCompare(y)),
  )
  expect(Date.parse(sentLater ?? '')).toBeGreaterThanOrEqual(
    Date.parse((await read(session, later.id)).timestamps['queuedAt'] ?? ''),
  )
  const texts = (await rig.sandbox.messages(a)).map(({ text }) => text)
  expect(texts).toEqual(['first', 'later'])
  expect((await rig.sandbox.messages(b)).map(({ text }) => text)).toEqual(['normal'])
})

test.concurrent('a restriction stops messages to strangers, tells so, and lets answers pass', async () => {
  const business = '254700000013'
  const session = await rig.pairedSession(business, {
    messagesPerMinute: null,
    perRecipientSeconds: null,
    newContactsPerDay: 'warmup',
  })
  const [friend, stranger, another] = (await newPhones(3)) as [string, string, string]
  await rig.sandbox.sendFrom(friend, { to: business, text: 'Habari' })
  await waitFor('it is received', async () => (await clientOf(session).messages('direction=inbound')).data.length === 1)
  const until = Date.now() + 600_000
  await rig.sandbox.fault({ kind: 'restrict', sessions: [business], until })
  const refused = await send(session, stranger, 'hello')
  await waitFor('it failed', async () => (await read(session, refused.id)).status === 'failed')
  expect((await read(session, refused.id)).error?.code).toBe('reach_out_restricted')
  const held = await send(session, another, 'hello')
  const answer = await send(session, friend, 'Nzuri')
  await reached(session, [answer], 'sent')
  const shown = await waitFor('it is held', async () => {
    const message = await read(session, held.id)
    return message.heldBy === 'restriction' && message
  })
  expect(Math.abs(Date.parse(shown.heldUntil ?? '') - until)).toBeLessThan(2_000)
  const resource = await rig.fleet.admin.call<{ status: string; restriction?: { reason: string } }>(
    'GET',
    `/v1/sessions/${session.id}`,
  )
  expect(resource).toMatchObject({ status: 'connected', restriction: { reason: 'reach_out_restricted' } })
  await waitFor('it is told', () => [...rig.receiver.events.values()].some(({ type }) => type === 'session.restricted'))
  expect((await rig.sandbox.messages(another)).length).toBe(0)
  expect((await rig.sandbox.messages(stranger)).length).toBe(0)
  await rig.sandbox.sendFrom(another, { to: business, text: 'Who are you?' })
  await reached(session, [held], 'sent')
})
