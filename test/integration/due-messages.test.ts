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
import { newMessage, newSession } from '../support/records.ts'
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

const addSession = async () => {
  const input = newSession()
  await rig.store.sessions.create(input, () => [])
  return input.session
}

/** The scheduler as it is a while later, without waiting for it. */
const asOfLater = (laterMs: number): DueDeps => ({
  ...deps,
  messages: {
    ...rig.store.messages,
    listDue: (now, limit) => rig.store.messages.listDue(now + laterMs, limit),
    listExpired: (now, limit) => rig.store.messages.listExpired(now + laterMs, limit),
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
  const runs: number[] = []
  const run = async (stop: AbortSignal) => {
    runs.push(Date.now())
    return runDueMessages(deps, stop)
  }
  const tick = { name: 'due-messages', everyMs: 500, deadlineMs: 5_000, run }
  const ticks = runBeats({ redis: deps.redis, prefix: rig.prefix, log }, [tick])
  try {
    const message = await rig.accept('soon', { sendAt: Date.now() + 700 })
    await rig.allReach('sent', [message])
    const { reachedAt, sendAt } = await stored(rig, message)
    expect(reachedAt.queued).toBeGreaterThanOrEqual(sendAt ?? Infinity)
    expect(reachedAt.scheduled).toBeLessThan(sendAt ?? 0)
    // By the first run after its time: half a second, and what the machine adds to that.
    expect(runs.filter((at) => at > (sendAt ?? 0) && at < (reachedAt.queued ?? 0)).length).toBeLessThanOrEqual(1)
  } finally {
    await ticks.close(2_000)
  }
})

test('many due at once: each is queued as soon as the store has it, with that time, and a slow session keeps no other waiting', async () => {
  const sendAt = Date.now() + 60_000
  const session = await addSession()
  const slow: MessageRecord[] = []
  for (let n = 0; n < 250; n += 1) slow.push(await rig.accept(`message ${n}`, { sendAt: sendAt + n }))
  const other = newMessage(session.id, { status: 'scheduled', sendAt: sendAt + 1_000 })
  await rig.store.messages.accept({ message: other, idempotency: null, maxQueueDepth: 9, now: 1 }, () => [])
  const later = asOfLater(90_000)
  const { promise: otherIsQueued, resolve: queued } = Promise.withResolvers<void>()
  const added: { sessionId: string; ids: string[]; stored: number }[] = []
  const queues: DueDeps['queues'] = {
    removeAll: () => Promise.resolve(),
    addAll: async (sessionId, rows) => {
      const { scheduled } = await rig.store.messages.queueState(rig.sessionId)
      added.push({ sessionId, ids: rows.map(({ id }) => id), stored: 250 - scheduled })
      if (sessionId === session.id) queued()
    },
  }
  const messages: DueDeps['messages'] = {
    ...later.messages,
    promote: async (sessionId, ...rest) => {
      if (sessionId !== session.id) await otherIsQueued
      return later.messages.promote(sessionId, ...rest)
    },
  }
  expect(await runDueMessages({ ...later, messages, queues }, signal)).toBe(251)
  const [first, ...steps] = added
  expect(first?.ids).toEqual([other.id])
  expect(steps.flatMap((each) => each.ids)).toEqual(slow.map(({ id }) => id))
  expect(steps.map(({ stored: count }) => count)).toEqual([100, 200, 250])
  const times = await Promise.all(slow.map(async (message) => (await stored(rig, message)).reachedAt.queued ?? NaN))
  expect(times).toEqual(times.toSorted((a, b) => a - b))
})

test('many that expire at once delay none that is due', async () => {
  const expiresAt = Date.now() + 60_000
  for (let n = 0; n < 520; n += 1) await rig.accept(`message ${n}`, { expiresAt })
  const later = asOfLater(90_000)
  const order: string[] = []
  const due: MessageRecord[] = []
  const messages: DueDeps['messages'] = {
    ...later.messages,
    expire: async (...args) => {
      if (due.length === 0) due.push(await rig.accept('due', { sendAt: expiresAt + 1 }))
      order.push('expire')
      return later.messages.expire(...args)
    },
    promote: async (...args) => {
      order.push('promote')
      return later.messages.promote(...args)
    },
  }
  expect(await runDueMessages({ ...later, messages }, signal)).toBe(521)
  expect(order).toEqual(['expire', 'expire', 'expire', 'expire', 'expire', 'promote', 'expire'])
  expect(await rig.statuses(due)).toEqual(['queued'])
})

test('a session whose messages cannot be queued keeps no other from its turn, and a tick that is to end begins no further step', async () => {
  const sendAt = Date.now() + 60_000
  const broken = await rig.accept('broken', { sendAt })
  const session = await addSession()
  const good = newMessage(session.id, { status: 'scheduled', sendAt: sendAt + 1 })
  await rig.store.messages.accept({ message: good, idempotency: null, maxQueueDepth: 9, now: 1 }, () => [])
  const later = asOfLater(90_000)
  const ended = new AbortController()
  ended.abort()
  expect(await runDueMessages(later, ended.signal)).toBe(0)
  const messages: DueDeps['messages'] = {
    ...later.messages,
    promote: (sessionId, ...rest) =>
      sessionId === rig.sessionId ? Promise.reject(new Error('broken')) : later.messages.promote(sessionId, ...rest),
  }
  await expect(runDueMessages({ ...later, messages }, signal)).rejects.toThrow('broken')
  expect(await rig.store.messages.get(session.id, good.id)).toMatchObject({ status: 'queued' })
  expect(await rig.statuses([broken])).toEqual(['scheduled'])
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

test('one that is taken just before it would expire keeps its job', async () => {
  const expiresAt = Date.now() + 60_000
  const [taken, gone] = [await rig.accept('taken', { expiresAt }), await rig.accept('gone', { expiresAt })]
  await rig.store.sessions.raiseEpoch(rig.sessionId, 1)
  const later = asOfLater(61_000)
  const messages: DueDeps['messages'] = {
    ...later.messages,
    expire: async (...args) => {
      await rig.store.messages.take({ sessionId: rig.sessionId, id: taken.id, epoch: 1, now: Date.now() }, () => [])
      return later.messages.expire(...args)
    },
  }
  expect(await runDueMessages({ ...later, messages }, signal)).toBe(1)
  expect(await rig.statuses([taken, gone])).toEqual(['sending', 'expired'])
  const waiting = await new SendQueues(deps.redis, rig.prefix).listWaiting(rig.sessionId)
  expect(waiting.map(({ id }) => id)).toEqual([taken.id])
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
