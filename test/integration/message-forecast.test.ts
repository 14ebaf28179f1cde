// What the API says of a queue held against what then happened.
import { beforeEach, expect, test } from 'vitest'
import { pino } from 'pino'
import { SessionForecasts } from '../../src/messages/forecast-session.ts'
import { readQueue } from '../../src/messages/read-queue.ts'
import type { QueuePlace } from '../../src/messages/message-view.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'
import { ScriptedClient } from '../support/scripted-client.ts'
import { rigForEachTest } from '../support/rig-for-each-test.ts'
import { waitFor } from '../support/wait.ts'
import type { SendRig } from '../support/send-rig.ts'

let rig: SendRig
let forecasts: SessionForecasts
rigForEachTest((opened) => (rig = opened), { messagesPerMinute: 240, perRecipientSeconds: 1.5, newContactsPerDay: 'warmup' })
beforeEach(async () => {
  await rig.store.sessions.raiseEpoch(rig.sessionId, 1)
  await rig.store.sessions.update(rig.sessionId, 1, { status: 'connected' }, () => [])
  const { messages } = rig.store
  const redis = rig.accepting.redis
  forecasts = new SessionForecasts({ messages, redis, prefix: rig.prefix, fleetPerSecond: null, log: pino({ level: 'silent' }) })
})

async function placeOf(message: MessageRecord): Promise<QueuePlace> {
  const session = await rig.store.sessions.get(rig.sessionId)
  const place = session && (await forecasts.placesOf(session, [message])).get(message.id)
  if (!place) throw new Error('there is no forecast')
  return place
}

test('what a restriction keeps back is said to leave when that ends, before its turn and after, but not what a session sends to itself', async () => {
  const until = Date.now() + 3_600_000
  const own = { phoneNumber: '254799999999', lid: null }
  const restriction = { reason: 'reach_out_restricted', until }
  await rig.store.sessions.update(rig.sessionId, 1, { restriction, ...own }, () => [])
  const [first, second] = [await rig.accept('1'), await rig.accept('2', { to: '254700000002' })]
  const note = await rig.accept('a note', { to: own.phoneNumber })
  const expectHeld = async (message: MessageRecord) => {
    const { estimatedSendAt, hold } = await placeOf(message)
    expect(hold).toEqual({ heldBy: 'restriction', heldUntil: until })
    expect(estimatedSendAt).toBeGreaterThanOrEqual(until)
  }
  await expectHeld(first)
  await expectHeld(second)
  expect((await placeOf(note)).hold?.heldBy).not.toBe('restriction')
  const { drain } = await rig.hold(2)
  drain.attach(new ScriptedClient())
  await rig.allReach('sent', [note])
  const held = async () => (await rig.store.messages.get(rig.sessionId, second.id))?.heldBy === 'restriction'
  await waitFor('they are held', held)
  await expectHeld(first)
  await expectHeld(await rig.accept('3', { to: '254700000003' }))
})

test('whoever has looked at the head of a queue is told the same times as whoever asks for its messages: typing takes its time', async () => {
  await rig.configure({ typing: true, perRecipientSeconds: null, newContactsPerDay: null })
  const messages: MessageRecord[] = []
  for (let n = 0; n < 40; n += 1) messages.push(await rig.accept('a text that takes a while to type. '.repeat(4)))
  const last = messages.at(-1) as MessageRecord
  const session = await rig.store.sessions.get(rig.sessionId)
  if (!session) throw new Error('gone')
  expect((await forecasts.nextPositions(session, 10)).get(last.id)).toBe(39)
  const { estimatedSendAt } = await placeOf(last)
  expect(estimatedSendAt).toBeGreaterThan(Date.now() + 40_000)
})

test('the head of a queue whose first ones have ended is found in a few questions', async () => {
  const accepted: MessageRecord[] = []
  for (let n = 0; n < 120; n += 1) accepted.push(await rig.accept(`${n}`))
  for (const { id } of accepted.slice(0, 110)) await rig.store.messages.cancel(rig.sessionId, id, Date.now(), () => [])
  const session = await rig.store.sessions.get(rig.sessionId)
  if (!session) throw new Error('gone')
  let questions = 0
  const messages: Parameters<typeof readQueue>[0]['messages'] = {
    ...rig.store.messages,
    listById: (...args) => {
      questions += 1
      return rig.store.messages.listById(...args)
    },
  }
  // As a forecast has them that was made just before.
  const nextPositions = () => Promise.resolve(new Map(accepted.map(({ id }, i) => [id, i])))
  const head = await readQueue({ messages, forecasts: { nextPositions } }, session, 1)
  expect(head.next.map(({ id }) => id)).toEqual([accepted[110]?.id])
  expect(questions).toBeLessThanOrEqual(2)
})

test('of 100 queued messages the median forecast is wrong by less than a tenth', async () => {
  const { drain } = await rig.hold(2)
  drain.attach(new ScriptedClient())
  const told: { message: MessageRecord; expected: number; position: number | null; askedAt: number }[] = []
  const lanes = ['normal', 'normal', 'normal', 'bulk'] as const
  for (let n = 0; n < 100; n += 1) {
    // In blocks, so that many wait for their recipient as well.
    const to = `+2547000000${String(10 + Math.floor(n / 6)).padStart(2, '0')}`
    const message = await rig.accept(`#${n}`, { to, priority: lanes[n % lanes.length] ?? 'normal' })
    const { estimatedSendAt, position } = await placeOf(message)
    told.push({ message, expected: estimatedSendAt ?? Number.NaN, position, askedAt: Date.now() })
  }
  expect(told.every(({ position }) => position !== null)).toBe(true)
  // Each message that came later may have gone first: what counts is what is said when all are there.
  const asked: typeof told = []
  for (const { message } of told) {
    const now = await rig.store.messages.get(rig.sessionId, message.id)
    if (now?.status !== 'queued') continue
    const { estimatedSendAt, position } = await placeOf(now)
    asked.push({ message, expected: estimatedSendAt ?? Number.NaN, position, askedAt: Date.now() })
  }
  expect(asked.length).toBeGreaterThan(40)
  await rig.allReach(
    'sent',
    told.map(({ message }) => message),
    60_000,
  )
  const errors = await Promise.all(
    asked.map(async ({ message, expected, askedAt }) => {
      const sendingAt = (await rig.store.messages.get(rig.sessionId, message.id))?.reachedAt.sending ?? Number.NaN
      return Math.abs(sendingAt - expected) / Math.max(sendingAt - askedAt, 500)
    }),
  )
  expect(errors.toSorted((a, b) => a - b)[Math.floor(errors.length / 2)]).toBeLessThan(0.1)
})
