// The pace of one session on a real Redis and a real store: rates, bursts, ramps, and what changes them while it runs.
import { expect, test } from 'vitest'
import type { MessageStore } from '../../src/store/message-store.ts'
import { acceptTo, ids, stored, timed } from '../support/paced-rig.ts'
import type { TestRedis } from '../support/redis.ts'
import { ScriptedClient } from '../support/scripted-client.ts'
import { rigForEachTest } from '../support/rig-for-each-test.ts'
import { openSendRig, type SendRig } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'

let server: TestRedis
let rig: SendRig
rigForEachTest((opened, itsServer) => {
  rig = opened
  server = itsServer
})

test('messages leave no faster than the session may send, in order', async () => {
  await rig.configure({ messagesPerMinute: 1_200 })
  const { drain } = await rig.hold(1)
  const { client, times } = timed()
  // The first slot is granted later than this, however late its frame comes.
  const startedAt = performance.now()
  drain.attach(client)
  const messages = await acceptTo(
    rig,
    Array.from({ length: 30 }, (_, n) => n),
  )
  await rig.allReach('sent', messages)
  expect(ids(client.frames)).toEqual(ids(messages))
  // 29 intervals of 50.8 ms; a slot used late still counts from its own time, up to 200 ms.
  expect((times.at(-1) ?? 0) - startedAt).toBeGreaterThan(29 * 50 - 210)
})

test('a burst leaves at once, and then the rate holds', async () => {
  await rig.configure({ messagesPerMinute: 60, burst: 5 })
  const { drain } = await rig.hold(1)
  const { client, times } = timed()
  // The first slot is granted later than this, however late its frame comes.
  const startedAt = performance.now()
  drain.attach(client)
  const messages = await acceptTo(rig, [0, 1, 2, 3, 4, 5])
  await rig.allReach('sent', messages)
  expect((times[5] ?? 0) - startedAt).toBeGreaterThan(1_000 - 210)
})

test('settings change while it runs: slower at once, and off lets everything go', async () => {
  await rig.configure({ messagesPerMinute: 1 })
  const { drain } = await rig.hold(1)
  const { client } = timed()
  drain.attach(client)
  const messages = await acceptTo(rig, [1, 2, 3])
  await rig.configure({ messagesPerMinute: null, perRecipientSeconds: 3_600 })
  await rig.allReach('sent', messages)
  const [again] = await acceptTo(rig, [1])
  await waitFor('it is held', async () => (await stored(rig, again!)).heldBy === 'recipient')
  expect(await stored(rig, again!)).toMatchObject({ status: 'queued' })
  await rig.configure({ perRecipientSeconds: null })
  await rig.allReach('sent', [again!])
})

test('after a reconnect it begins slowly, and a session that recovers sends at half its rate', async () => {
  await rig.configure({ messagesPerMinute: 1_200 })
  const { drain } = await rig.hold(1)
  const slow = timed()
  const slowAt = performance.now()
  drain.attach(slow.client, true)
  await rig.allReach('sent', await acceptTo(rig, [1, 2, 3, 4, 5, 6]))
  expect((slow.times.at(-1) ?? 0) - slowAt).toBeGreaterThan(5 * 180 - 210)
  await drain.detach()
  const health = { score: 61, level: 'recovering', reasons: [], at: Date.now() } as never
  await rig.store.sessions.setHealth(rig.sessionId, health, () => [])
  drain.wake('settings')
  const half = timed()
  const halfAt = performance.now()
  drain.attach(half.client)
  await rig.allReach(
    'sent',
    await acceptTo(
      rig,
      Array.from({ length: 11 }, (_, n) => n + 20),
    ),
  )
  expect((half.times.at(-1) ?? 0) - halfAt).toBeGreaterThan(10 * 100 - 210)
})

test('a burst that is allowed does not leave at once after a reconnect', async () => {
  await rig.configure({ messagesPerMinute: 600, burst: 10 })
  const { drain } = await rig.hold(1)
  drain.attach(timed().client)
  await rig.allReach('sent', await acceptTo(rig, [0]))
  await drain.detach()
  const startedAt = performance.now()
  const { client, times } = timed()
  drain.attach(client, true)
  await rig.allReach('sent', await acceptTo(rig, [1, 2, 3, 4, 5]))
  // At a quarter of the rate, less what a slot may be used late and what of the burst is allowed again within that time.
  expect((times[4] ?? 0) - startedAt).toBeGreaterThan(4 * 390 - 210 - 50)
})

test('the fleet’s limit holds for all sessions together', async () => {
  const other = await openSendRig(server, {}, rig.prefix)
  try {
    const started = performance.now()
    const rigs = [rig, other]
    for (const each of rigs) {
      const { drain } = await each.hold(1, { fleetPerSecond: 20 })
      drain.attach(new ScriptedClient())
    }
    const messages = await Promise.all(rigs.map((each) => each.acceptMany(8)))
    await Promise.all(rigs.map((each, i) => each.allReach('sent', messages[i]!)))
    expect(performance.now() - started).toBeGreaterThan(15 * 50 - 210)
  } finally {
    await other.close()
  }
})

test('an unpaced session asks neither Redis nor the store for anything more than its messages need', async () => {
  const calls = new Map<string, number>()
  const counting = new Proxy(rig.store.messages, {
    get(target, name: keyof MessageStore) {
      calls.set(name, (calls.get(name) ?? 0) + 1)
      return target[name]
    },
  })
  const { drain } = await rig.hold(1, { messages: counting })
  await drain.recover()
  drain.attach(new ScriptedClient())
  await rig.allReach('sent', await rig.acceptMany(1))
  calls.clear()
  await rig.allReach('sent', await rig.acceptMany(20))
  expect(Object.fromEntries(calls)).toEqual({ take: 20, advance: 20 })
  expect(await rig.accepting.redis.keys(`${rig.prefix}:*pace*`)).toEqual([])
})

test('messages to strangers end no hold where strangers are not limited: what is held back is not looked through for each', async () => {
  await rig.configure({ perRecipientSeconds: 3_600 })
  const { messages } = rig.store
  let looks = 0
  const listHeld: MessageStore['listHeld'] = (...args) => {
    looks += 1
    return messages.listHeld(...args)
  }
  const { drain } = await rig.hold(1, { messages: { ...messages, listHeld } })
  drain.attach(timed().client)
  const [, held] = await acceptTo(rig, [1, 1])
  await waitFor('the second one is held', async () => (await stored(rig, held!)).heldBy === 'recipient')
  await rig.allReach('sent', await acceptTo(rig, [2]))
  const before = looks
  await rig.allReach('sent', await acceptTo(rig, [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]))
  expect(looks - before).toBeLessThan(5)
})
