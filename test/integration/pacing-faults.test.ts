// Held and waiting messages through an emptied Redis and a killed worker.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { pino } from 'pino'
import { sleep } from '../../src/platform/clock.ts'
import { AppError } from '../../src/platform/errors.ts'
import { requeueStranded } from '../../src/messages/requeue-stranded.ts'
import { acceptTo, ids, stored, timed } from '../support/paced-rig.ts'
import type { TestRedis } from '../support/redis.ts'
import { acked } from '../support/scripted-client.ts'
import { rigForEachTest } from '../support/rig-for-each-test.ts'
import type { SendRig } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'

let server: TestRedis
let rig: SendRig
rigForEachTest((opened, itsServer) => {
  rig = opened
  server = itsServer
})

test('Redis emptied under messages that are held and waiting: all leave once, in order, no faster', async () => {
  await rig.configure({ messagesPerMinute: 1_200, perRecipientSeconds: 0.6 })
  const { drain } = await rig.hold(1)
  const { client, times } = timed(async () => {
    if (client.frames.length === 6) await rig.accepting.redis.flushall()
    return acked()
  })
  drain.attach(client)
  const messages = await acceptTo(rig, [1, 1, 2, 2, 3, 3, ...Array.from({ length: 10 }, (_, n) => n + 10)])
  const deps = {
    messages: rig.store.messages,
    redis: rig.accepting.redis,
    prefix: rig.prefix,
    announce: rig.announce,
    log: pino({ level: 'silent' }),
  }
  await waitFor('Redis is empty', () => client.frames.length >= 6)
  const stale = { ...deps.messages, listSessionsWithStale: () => Promise.resolve([rig.sessionId]) }
  const all = async () => (await rig.statuses(messages)).every((status) => status === 'sent')
  await waitFor(
    'all are sent',
    async () => {
      if (await all()) return true
      await drain.recover()
      await requeueStranded({ ...deps, messages: stale })
      return false
    },
    30_000,
    300,
  )
  const order = ids(client.frames)
  expect(new Set(order).size).toBe(messages.length)
  expect(order).toHaveLength(messages.length)
  for (const n of [0, 2, 4])
    expect(order.indexOf(messages[n]!.whatsappId)).toBeLessThan(order.indexOf(messages[n + 1]!.whatsappId))
  const at = (n: number) => times[order.indexOf(messages[n]!.whatsappId)] ?? 0
  for (const n of [0, 2, 4]) expect(at(n + 1) - at(n)).toBeGreaterThan(590)
})

test('a worker killed with messages held back: the next one knows of them, keeps their order and their wait', async () => {
  await rig.configure({ perRecipientSeconds: 4, newContactsPerDay: 3 })
  const messages = await acceptTo(rig, [1, 1, 2, 2, 3, 4])
  const stranger = messages[5]!
  const framesKey = `${rig.prefix}:frames`
  const { redis } = rig.accepting
  await rig.store.sessions.raiseEpoch(rig.sessionId, 1)
  const file = join(import.meta.dirname, '..', 'support', 'drain-process.ts')
  const args = [rig.storePath, server.socketPath, rig.prefix, rig.sessionId, '1', '1', framesKey]
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'inherit', 'inherit'] })
  try {
    await waitFor('the first of each has left, the others are held', async () => {
      const waiting = [messages[1]!, messages[3]!, stranger]
      return (
        (await redis.llen(framesKey)) >= 3 &&
        (await Promise.all(waiting.map((message) => stored(rig, message)))).every(({ heldBy }) => heldBy !== null)
      )
    })
  } finally {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  const { drain } = await rig.hold(2)
  const { client } = timed()
  drain.attach(client)
  await rig.allReach('sent', messages.slice(0, 5))
  const frames = [...(await redis.lrange(framesKey, 0, -1)), ...ids(client.frames)]
  for (const [first, second] of [
    [0, 1],
    [2, 3],
  ] as const) {
    expect(frames.indexOf(messages[first]!.whatsappId)).toBeLessThan(frames.indexOf(messages[second]!.whatsappId))
  }
  expect(await stored(rig, stranger)).toMatchObject({ status: 'queued', heldBy: 'new_contacts' })
})

test('the store goes away between a grant and the message’s leaving: the next one does not follow at once', async () => {
  await rig.configure({ messagesPerMinute: 60 })
  const { messages } = rig.store
  let failedAt = Infinity
  const take: typeof messages.take = async (input, describe) => {
    if (client.frames.length !== 1 || failedAt < Infinity) return messages.take(input, describe)
    failedAt = performance.now() + 1_200
    await sleep(1_200)
    throw new AppError('store_unavailable')
  }
  const { drain } = await rig.hold(1, { messages: { ...messages, take } })
  const { client, times } = timed()
  drain.attach(client)
  const accepted = await acceptTo(rig, [1, 2, 3])
  await rig.allReach('sent', accepted)
  expect(ids(client.frames)).toEqual(ids(accepted))
  // The second one was granted again later than this; an interval of 1,015 ms, less what a slot may be used late.
  expect(times[2]).toBeGreaterThan(failedAt + 1_010 - 210)
})
