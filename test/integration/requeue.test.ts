// What is lost between store and queue comes back in order: a crash after the store's write, an emptied Redis, a killed worker.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { pino } from 'pino'
import { requeueStranded } from '../../src/messages/requeue-stranded.ts'
import { maxSendingMs } from '../../src/messages/message.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { ids } from '../support/paced-rig.ts'
import { acked, ScriptedClient, shownOf } from '../support/scripted-client.ts'
import { rigForEachTest } from '../support/rig-for-each-test.ts'
import { openSendRig, type SendRig } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'

let server: TestRedis
let rig: SendRig
let children: ChildProcess[] = []
rigForEachTest((opened, itsServer) => {
  rig = opened
  server = itsServer
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** Another process of the fleet, with the same store and Redis. */
function spawnPart(part: 'accept-process' | 'drain-process', ...args: (string | number)[]): ChildProcess {
  const file = join(import.meta.dirname, '..', 'support', `${part}.ts`)
  const shared = [rig.storePath, server.socketPath, rig.prefix, rig.sessionId]
  const child = spawn(process.execPath, [file, ...shared, ...args.map(String)], { stdio: ['ignore', 'inherit', 'inherit'] })
  children.push(child)
  return child
}

/** The stale rows as they are a while later, without waiting for it. */
function asOfLater(laterMs: number) {
  const { messages } = rig.store
  const deps = { redis: rig.accepting.redis, prefix: rig.prefix, announce: rig.announce, log: pino({ level: 'silent' }) }
  const listSessionsWithStale: typeof messages.listSessionsWithStale = (before, ...rest) =>
    messages.listSessionsWithStale(before + laterMs, ...rest)
  return { ...deps, messages: { ...messages, listSessionsWithStale } }
}

test('a message whose acceptor died between store and queue is sent, before those accepted after it', async () => {
  const { drain } = await rig.hold(1)
  await drain.recover()
  const before = await rig.accept('before')
  const [code, signal] = (await once(spawnPart('accept-process', 'died with it'), 'exit')) as [number | null, string | null]
  expect([code, signal]).toEqual([null, 'SIGKILL'])
  const stranded = (await rig.store.messages.list({ sessionId: rig.sessionId, limit: 10 })).data.find(
    ({ id }) => id !== before.id,
  )
  expect(stranded).toMatchObject({ status: 'queued', content: { text: { body: 'died with it' } } })
  const after = await rig.acceptMany(3)
  const client = new ScriptedClient()
  drain.attach(client)
  await rig.allReach('sent', [before, stranded!, ...after])
  expect(ids(client.frames)).toEqual(ids([before, stranded!, ...after]))
})

test('when nothing follows it, the safety net wakes its holder', async () => {
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  drain.attach(client)
  await drain.recover()
  const stranded = await rig.acceptWithoutQueue('stranded')
  expect(await requeueStranded(asOfLater(0))).toBe(0)
  expect(await requeueStranded(asOfLater(60_000))).toBe(1)
  await rig.allReach('sent', [stranded])
  expect(await requeueStranded(asOfLater(60_000))).toBe(0)
})

test('with no holder it waits for the next one, who finds it', async () => {
  const stranded = await rig.acceptWithoutQueue('stranded')
  const later = await rig.accept('later')
  await requeueStranded(asOfLater(60_000))
  const { drain } = await rig.hold(1)
  const client = new ScriptedClient()
  drain.attach(client)
  await rig.allReach('sent', [stranded, later])
  expect(ids(client.frames)).toEqual(ids([stranded, later]))
})

test('what has been sending for a day ends, although nobody holds its session', async () => {
  const { drain } = await rig.hold(1)
  drain.attach(new ScriptedClient(() => ({ kind: 'unknown', reason: 'no_ack' })))
  const message = await rig.accept('never acked')
  await rig.allReach('sending', [message])
  const deps = asOfLater(60_000)
  await requeueStranded(deps)
  expect(await rig.statuses([message])).toEqual(['sending'])
  const realNow = Date.now
  Date.now = () => realNow() + maxSendingMs
  try {
    await requeueStranded(deps)
  } finally {
    Date.now = realNow
  }
  expect(await rig.store.messages.get(rig.sessionId, message.id)).toMatchObject({
    status: 'failed',
    error: { code: 'outcome_unknown' },
  })
})

test('Redis emptied under 100 queued messages while they are sent: all arrive once, in order', async () => {
  const { drain } = await rig.hold(1)
  const messages = await rig.acceptMany(100)
  const client = new ScriptedClient(async (message) => {
    if (message.whatsappId === messages[10]?.whatsappId) await rig.accepting.redis.flushall()
    return acked()
  })
  drain.attach(client)
  await rig.allReach('sent', messages)
  expect(ids(client.frames)).toEqual(ids(messages))
})

test('Redis emptied while the holder idles: a later message does not pass the lost ones', async () => {
  const { drain } = await rig.hold(1)
  await drain.recover()
  const messages = await rig.acceptMany(100)
  await rig.accepting.redis.flushall()
  const client = new ScriptedClient()
  drain.attach(client)
  const after = await rig.accept('after the loss')
  await rig.allReach('sent', [...messages, after])
  expect(ids(client.frames)).toEqual(ids([...messages, after]))
})

test('Redis emptied and nothing accepted afterwards: the safety net brings them back', async () => {
  const { drain } = await rig.hold(1)
  await drain.recover()
  const messages = await rig.acceptMany(20)
  await rig.accepting.redis.flushall()
  const client = new ScriptedClient()
  drain.attach(client)
  await requeueStranded(asOfLater(60_000))
  await rig.allReach('sent', messages)
  expect(ids(client.frames)).toEqual(ids(messages))
})

test('Redis killed and back empty under 100 queued messages: the holder compares by itself', async () => {
  const own = await startTestRedis()
  const otherRig = await openSendRig(own)
  try {
    const { drain } = await otherRig.hold(1)
    const messages = await otherRig.acceptMany(100)
    let release = () => {}
    const gate = new Promise<void>((resolve) => (release = resolve))
    const client = new ScriptedClient(async (message) => {
      if (message.whatsappId === messages[20]?.whatsappId) await gate
      return acked()
    })
    drain.attach(client)
    await waitFor('a fifth has left', () => client.frames.length === 21)
    await own.kill()
    await own.start()
    release()
    await otherRig.allReach('sent', messages)
    expect(ids(client.frames)).toEqual(ids(messages))
  } finally {
    await otherRig.close()
    await own.close()
  }
})

test('workers killed one after the other in the middle of sends: each next one begins with the same id, all arrive in order', async () => {
  const messages = await rig.acceptMany(60)
  const framesKey = `${rig.prefix}:frames`
  const { redis } = rig.accepting
  const kills = 4
  for (let epoch = 1; epoch <= kills; epoch += 1) {
    await rig.store.sessions.raiseEpoch(rig.sessionId, epoch)
    const before = await redis.llen(framesKey)
    const worker = spawnPart('drain-process', epoch, 3, framesKey)
    await waitFor(`worker ${epoch} sends`, async () => (await redis.llen(framesKey)) >= before + 2 * epoch - 1)
    worker.kill('SIGKILL')
    await once(worker, 'exit')
  }
  expect((await rig.statuses(messages)).at(-1)).toBe('queued')
  await rig.store.sessions.raiseEpoch(rig.sessionId, kills + 1)
  spawnPart('drain-process', kills + 1, 0, framesKey)
  await rig.allReach('sent', messages)
  const frames = await redis.lrange(framesKey, 0, -1)
  expect(shownOf(frames.map((whatsappId) => ({ whatsappId })))).toEqual(ids(messages))
  expect(frames.length).toBeLessThanOrEqual(messages.length + kills)
})
