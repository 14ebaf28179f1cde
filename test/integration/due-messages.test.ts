// Messages with times: scheduled ones join their lane when it has come, worthless ones never leave; and cancel against sending.
import { beforeEach, expect, test } from 'vitest'
import { pino } from 'pino'
import { cancelMessage } from '../../src/messages/cancel-message.ts'
import { requeueStranded } from '../../src/messages/requeue-stranded.ts'
import { runDueMessages, type DueDeps } from '../../src/messages/run-due-messages.ts'
import { SendQueues } from '../../src/messages/send-queue.ts'
import { hasCode } from '../../src/platform/errors.ts'
import { runBeats } from '../../src/platform/beat.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'
import { ids, stored } from '../support/paced-rig.ts'
import { acked, ScriptedClient } from '../support/scripted-client.ts'
import { rigForEachTest } from '../support/rig-for-each-test.ts'
import type { SendRig } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'

const log = pino({ level: 'silent' })
const signal = new AbortController().signal

let rig: SendRig
let deps: DueDeps
rigForEachTest((opened) => (rig = opened))
beforeEach(async () => {
  const redis = rig.connect('worker')
  const { messages } = rig.store
  deps = { messages, queues: new SendQueues(redis, rig.prefix), redis, prefix: rig.prefix, announce: rig.announce, log }
})

/** The scheduler as it is a while later, without waiting for it. */
const asOfLater = (laterMs: number): DueDeps => ({
  ...deps,
  messages: {
    promoteDue: (now, ...rest) => rig.store.messages.promoteDue(now + laterMs, ...rest),
    expireDue: (now, ...rest) => rig.store.messages.expireDue(now + laterMs, ...rest),
  },
})

test('scheduled messages are queued in order of their time, behind what was queued before, and sent in that order', async () => {
  const sendAt = Date.now() + 60_000
  const late = await rig.accept('late', { sendAt: sendAt + 2 })
  const bulk = await rig.accept('bulk', { sendAt, priority: 'bulk' })
  const early = await rig.accept('early', { sendAt: sendAt + 1 })
  const now = await rig.accept('now')
  expect(await rig.statuses([late, bulk, early, now])).toEqual(['scheduled', 'scheduled', 'scheduled', 'queued'])
  expect(await runDueMessages(deps, signal)).toBe(0)
  expect(await runDueMessages(asOfLater(61_000), signal)).toBe(3)
  expect(await rig.statuses([late, bulk, early])).toEqual(['queued', 'queued', 'queued'])
  expect(await rig.eventsOf(early)).toEqual(['message.queued'])
  expect(await rig.eventsOf(now)).toEqual(['message.queued'])
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  drain.attach(client)
  await rig.allReach('sent', [late, bulk, early, now])
  expect(ids(client.frames)).toEqual(ids([now, early, late, bulk]))
})

test('a tick queues them within a second of their time, and their holder is woken', async () => {
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  drain.attach(client)
  const tick = { name: 'due-messages', everyMs: 500, deadlineMs: 5_000, run: (stop: AbortSignal) => runDueMessages(deps, stop) }
  const ticks = runBeats({ redis: deps.redis, prefix: rig.prefix, log }, [tick])
  try {
    const message = await rig.accept('soon', { sendAt: Date.now() + 700 })
    await rig.allReach('sent', [message])
    const { reachedAt, sendAt } = await stored(rig, message)
    expect(reachedAt.queued).toBeGreaterThanOrEqual(sendAt ?? Infinity)
    expect(reachedAt.scheduled).toBeLessThan(sendAt ?? 0)
  } finally {
    await ticks.close(2_000)
  }
})

test('a scheduler that dies between store and queue: the holder finds them, in order', async () => {
  const sendAt = Date.now() + 60_000
  const messages: MessageRecord[] = []
  for (let n = 0; n < 3; n += 1) messages.push(await rig.accept(`message ${n}`, { sendAt: sendAt + n }))
  const dying = {
    ...asOfLater(61_000),
    queues: { addAll: () => Promise.reject(new Error('died')), removeAll: () => Promise.resolve() },
  }
  await expect(runDueMessages(dying, signal)).rejects.toThrow('died')
  expect(await rig.statuses(messages)).toEqual(['queued', 'queued', 'queued'])
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  drain.attach(client)
  await rig.allReach('sent', messages)
  expect(ids(client.frames)).toEqual(ids(messages))
})

test('Redis emptied: what is scheduled is in the store alone, and what was queued from it comes back', async () => {
  const sendAt = Date.now() + 60_000
  const messages = [await rig.accept('one', { sendAt }), await rig.accept('two', { sendAt: sendAt + 1 })]
  await rig.accepting.redis.flushall()
  const { drain } = await rig.hold(1)
  await drain.recover()
  await runDueMessages(asOfLater(61_000), signal)
  await rig.accepting.redis.flushall()
  const client = new ScriptedClient()
  drain.attach(client)
  const { messages: store } = rig.store
  const listSessionsWithStale: typeof store.listSessionsWithStale = (before, ...rest) =>
    store.listSessionsWithStale(before + 200_000, ...rest)
  await requeueStranded({ ...deps, messages: { ...store, listSessionsWithStale } })
  await rig.allReach('sent', messages)
  expect(ids(client.frames)).toEqual(ids(messages))
})

test('a worthless message expires, queued, scheduled or held, is told, and never leaves', async () => {
  const expiresAt = Date.now() + 60_000
  const queued = await rig.accept('queued', { expiresAt })
  const scheduled = await rig.accept('scheduled', { expiresAt, sendAt: expiresAt - 1 })
  const held = await rig.accept('held', { expiresAt, to: '+254700000009' })
  const good = await rig.accept('good')
  await rig.store.sessions.raiseEpoch(rig.sessionId, 1)
  await rig.store.messages.hold({ sessionId: rig.sessionId, id: held.id, epoch: 1, heldBy: 'recipient', heldUntil: expiresAt })
  expect(await runDueMessages(asOfLater(61_000), signal)).toBe(3)
  for (const message of [queued, scheduled, held]) {
    expect(await stored(rig, message)).toMatchObject({ status: 'expired' })
    expect((await rig.eventsOf(message)).at(-1)).toBe('message.expired')
  }
  const { drain } = await rig.hold(2)
  const client = new ScriptedClient()
  drain.attach(client)
  await rig.allReach('sent', [good])
  expect(ids(client.frames)).toEqual(ids([good]))
})

test('one that expires while it waits for its turn is not sent, without any scheduler', async () => {
  const gone = await rig.accept('gone', { expiresAt: Date.now() - 1 })
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  drain.attach(client)
  const good = await rig.accept('good')
  await rig.allReach('sent', [good])
  expect(await stored(rig, gone)).toMatchObject({ status: 'expired' })
  expect(ids(client.frames)).toEqual(ids([good]))
})

test('cancel against sending: each message is either canceled and never seen, or sent and the cancel refused', async () => {
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient(async () => {
    await new Promise((resolve) => setImmediate(resolve))
    return acked()
  })
  drain.attach(client)
  const canceling = { ...deps, messages: rig.store.messages }
  const outcomes = await Promise.all(
    Array.from({ length: 80 }, async (_, n) => {
      const message = await rig.accept(`message ${n}`)
      await new Promise((resolve) => setTimeout(resolve, n % 8))
      try {
        await cancelMessage(canceling, rig.sessionId, message.id)
        return { message, isCanceled: true }
      } catch (error) {
        if (!hasCode(error, 'message_not_cancelable')) throw error
        return { message, isCanceled: false }
      }
    }),
  )
  const sent = outcomes.filter(({ isCanceled }) => !isCanceled).map(({ message }) => message)
  await rig.allReach('sent', sent)
  await waitFor('nothing waits', async () => (await rig.store.messages.queueState(rig.sessionId)).depth === 0)
  expect(ids(client.frames).toSorted()).toEqual(ids(sent).toSorted())
  for (const { message, isCanceled } of outcomes)
    expect((await stored(rig, message)).status).toBe(isCanceled ? 'canceled' : 'sent')
})
