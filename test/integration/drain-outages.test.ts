// Draining while the store or Redis fails: nothing is lost, nothing passes another, and nobody waits for ever.
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { SendQueues } from '../../src/messages/send-queue.ts'
import { withDeadline } from '../../src/platform/clock.ts'
import { AppError } from '../../src/platform/errors.ts'
import { startTestRedis } from '../support/redis.ts'
import { acked, ScriptedClient } from '../support/scripted-client.ts'
import { ids } from '../support/paced-rig.ts'
import { rigForEachTest } from '../support/rig-for-each-test.ts'
import { openSendRig, type SendRig } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'

let rig: SendRig
rigForEachTest((opened) => (rig = opened))

test('while the store is away nothing is lost, and it goes on where it was', async () => {
  const { messages } = rig.store
  let isAway = true
  const take: typeof messages.take = (input, describe) =>
    isAway ? Promise.reject(new AppError('store_unavailable')) : messages.take(input, describe)
  const { drain, deadSockets } = await rig.hold(1, { messages: { ...messages, take } })
  const client = new ScriptedClient()
  drain.attach(client)
  const accepted = await rig.acceptMany(3)
  expect(client.frames).toEqual([])
  isAway = false
  await rig.allReach('sent', accepted)
  expect(ids(client.frames)).toEqual(ids(accepted))
  expect(deadSockets).toEqual([])
})

test('a message that expires while the store is busy is not sent', async () => {
  const expiresAt = Date.now() + 800
  const message = await rig.accept('worthless', { expiresAt })
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  const writer = new DatabaseSync(rig.storePath)
  writer.exec('BEGIN IMMEDIATE')
  try {
    drain.attach(client)
    await waitFor('it is too late', () => Date.now() > expiresAt + 100)
  } finally {
    writer.exec('COMMIT')
    writer.close()
  }
  await rig.allReach('expired', [message])
  expect(client.frames).toEqual([])
})

test('an ack that the store cannot take at once is recorded later, before the next message leaves', async () => {
  const { messages } = rig.store
  let refusals = 2
  const advance: typeof messages.advance = (...input) =>
    (refusals -= 1) >= 0 ? Promise.reject(new AppError('store_unavailable')) : messages.advance(...input)
  const { drain } = await rig.hold(1, { messages: { ...messages, advance } })
  const client = new ScriptedClient()
  drain.attach(client)
  const accepted = await rig.acceptMany(2)
  await rig.allReach('sent', accepted)
  expect(ids(client.frames)).toEqual(ids(accepted))
})

test('a repair of the queue that breaks off in the middle is made again', async () => {
  const queues = new SendQueues(rig.connect('worker'), rig.prefix)
  const addAll = queues.addAll.bind(queues)
  let isFirst = true
  queues.addAll = async (sessionId, rows) => {
    if (!isFirst) return addAll(sessionId, rows)
    isFirst = false
    await addAll(sessionId, rows.slice(0, 3))
    throw new Error('the connection broke')
  }
  const missing = await rig.acceptWithoutQueue('missing')
  const later = await rig.acceptMany(8)
  const { drain } = await rig.hold(1, { queues })
  const client = new ScriptedClient()
  drain.attach(client)
  await rig.allReach('sent', [missing, ...later])
  expect(isFirst).toBe(false)
  expect(ids(client.frames)).toEqual(ids([missing, ...later]))
  queues.close()
})

test('a job that a former holder takes late is at once given to the present one', async () => {
  const queues = new SendQueues(rig.connect('worker'), rig.prefix)
  const createWorker = queues.createWorker.bind(queues)
  const { promise: redisIsBack, resolve: letItTake } = Promise.withResolvers<void>()
  let isAsking = false
  queues.createWorker = (sessionId) => {
    const worker = createWorker(sessionId)
    const getNextJob = worker.getNextJob.bind(worker)
    worker.getNextJob = async (...args) => {
      isAsking = true
      await redisIsBack
      return getNextJob(...args)
    }
    return worker
  }
  const former = await rig.hold(1, { queues })
  former.drain.attach(new ScriptedClient())
  await waitFor('its command is on the way', () => isAsking)
  former.lease.trusted = false

  const { drain } = await rig.hold(2)
  await drain.recover()
  const messages = await rig.acceptMany(3)
  letItTake()
  await waitFor('it has taken the first', async () => (await rig.activeCount()) === 1)
  const client = new ScriptedClient()
  drain.attach(client)
  await rig.allReach('sent', messages)
  expect(ids(client.frames)).toEqual(ids(messages))
  queues.close()
})

/** A holder whose first message is sent and whose next job is on its way to it until `arrive`. */
async function holdWithNextOnItsWay() {
  const queues = new SendQueues(rig.connect('worker'), rig.prefix)
  const createWorker = queues.createWorker.bind(queues)
  const { promise: arrival, resolve: arrive } = Promise.withResolvers<void>()
  let isOnItsWay = false
  queues.createWorker = (sessionId) => {
    const worker = createWorker(sessionId)
    const completeAndTake = worker.completeAndTake.bind(worker)
    worker.completeAndTake = async (...args) => {
      const next = await completeAndTake(...args)
      isOnItsWay = true
      await arrival
      return next
    }
    return worker
  }
  const messages = await rig.acceptMany(3)
  const held = await rig.hold(1, { queues })
  const client = new ScriptedClient()
  held.drain.attach(client)
  await waitFor('the next job is on its way', () => isOnItsWay)
  return { ...held, queues, messages, client, arrive }
}

test('a job that comes with the end of the one before is left to the next holder when the lease has gone', async () => {
  const former = await holdWithNextOnItsWay()
  former.lease.trusted = false
  former.arrive()
  const { drain } = await rig.hold(2)
  const client = new ScriptedClient()
  drain.attach(client)
  await rig.allReach('sent', former.messages)
  expect([...ids(former.client.frames), ...ids(client.frames)]).toEqual(ids(former.messages))
  expect(former.client.frames).toHaveLength(1)
  former.queues.close()
})

test('a job that comes with the end of the one before is given back when the socket has gone', async () => {
  const { drain, queues, messages, client, arrive } = await holdWithNextOnItsWay()
  const detached = drain.detach()
  arrive()
  await detached
  expect(await rig.activeCount()).toBe(0)
  expect(await rig.statuses(messages)).toEqual(['sent', 'queued', 'queued'])
  const next = new ScriptedClient(acked, client.frames)
  drain.attach(next)
  await rig.allReach('sent', messages)
  expect(ids(client.frames)).toEqual(ids(messages))
  queues.close()
})

test('while Redis does not answer, detaching and closing do not wait for it', async () => {
  const own = await startTestRedis()
  const other = await openSendRig(own)
  const { drain } = await other.hold(1)
  try {
    let ack = () => {}
    const client = new ScriptedClient(async () => {
      await new Promise<void>((resolve) => (ack = resolve))
      return acked()
    })
    drain.attach(client)
    const messages = await other.acceptMany(2)
    await waitFor('the first is with the client', () => client.frames.length === 1)
    own.pause()
    ack()
    await withDeadline(drain.detach(), 5_000)
    await withDeadline(drain.close(), 5_000)
    expect(await other.statuses(messages)).toEqual(['sent', 'queued'])
    expect(client.frames).toHaveLength(1)
  } finally {
    own.resume()
    await other.close()
    await own.close()
  }
})
