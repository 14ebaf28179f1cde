// A paced session on a real Redis and a real store: who leaves when, who steps aside, and what changes it while it runs.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { pino } from 'pino'
import { requeueStranded } from '../../src/messages/requeue-stranded.ts'
import { storeInbound } from '../../src/messages/store-inbound.ts'
import type { MessageRecord, MessageStore } from '../../src/store/message-store.ts'
import type { SessionSettings } from '../../src/store/session-store.ts'
import type { SendOutcome } from '../../src/whatsapp/whatsapp-client.ts'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { acked, ScriptedClient, type SendScript } from '../support/scripted-client.ts'
import { openSendRig, type SendRig } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'

let server: TestRedis
let rig: SendRig
beforeAll(async () => {
  server = await startTestRedis()
})
afterAll(() => server.close())
beforeEach(async () => {
  rig = await openSendRig(server)
})
afterEach(() => rig.close())

const ids = (messages: readonly { whatsappId: string }[]) => messages.map(({ whatsappId }) => whatsappId)
const number = (n: number) => `+2547000${String(n).padStart(5, '0')}`

/** A client that remembers when each frame came, on the monotonic clock. */
function timed(script: SendScript = acked): { client: ScriptedClient; times: number[] } {
  const times: number[] = []
  const client = new ScriptedClient((message, tryNumber) => {
    times.push(performance.now())
    return script(message, tryNumber)
  })
  return { client, times }
}

async function paced(settings: Partial<SessionSettings>): Promise<void> {
  await rig.configure(settings)
}

/** One message to each of these. */
async function acceptTo(recipients: readonly number[], more: Parameters<SendRig['accept']>[1] = {}): Promise<MessageRecord[]> {
  const messages: MessageRecord[] = []
  for (const [i, n] of recipients.entries()) messages.push(await rig.accept(`${i} to ${n}`, { ...more, to: number(n) }))
  return messages
}

const stored = async ({ id }: { id: string }) => {
  const message = await rig.store.messages.get(rig.sessionId, id)
  if (!message) throw new Error('the message is gone')
  return message
}

async function hearFrom(n: number): Promise<void> {
  const chat = `${number(n).slice(1)}@s.whatsapp.net`
  await storeInbound(
    {
      messages: rig.store.messages,
      announce: rig.announce,
      ending: new AbortController().signal,
      log: pino({ level: 'silent' }),
    },
    rig.sessionId,
    {
      whatsappId: `IN${n}-${Math.random()}`,
      chat,
      participant: null,
      fromPhoneNumber: number(n).slice(1),
      fromLid: null,
      groupId: null,
      pushName: null,
      type: 'text',
      content: { text: { body: 'Habari' } },
      at: Date.now(),
    },
  )
}

test('messages leave no faster than the session may send, in order', async () => {
  await paced({ messagesPerMinute: 1_200 })
  const { drain } = await rig.hold(1)
  const { client, times } = timed()
  drain.attach(client)
  const messages = await acceptTo(Array.from({ length: 30 }, (_, n) => n))
  await rig.allReach('sent', messages)
  expect(ids(client.frames)).toEqual(ids(messages))
  // 29 intervals of 50.8 ms; a slot used late still counts from its own time, up to 200 ms.
  expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(29 * 50 - 210)
})

test('a burst leaves at once, and then the rate holds', async () => {
  await paced({ messagesPerMinute: 60, burst: 5 })
  const { drain } = await rig.hold(1)
  const { client, times } = timed()
  drain.attach(client)
  const messages = await acceptTo([0, 1, 2, 3, 4, 5])
  await rig.allReach('sent', messages)
  expect((times[5] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(1_000 - 210)
})

test('what its recipient’s interval keeps back lets others pass, is shown as held, and comes back in its turn', async () => {
  await paced({ perRecipientSeconds: 0.7 })
  const { drain } = await rig.hold(1)
  const { client, times } = timed()
  drain.attach(client)
  const messages = await acceptTo([1, 1, 2, 1, 2, 3])
  const [a1, a2, b1, a3, b2, c1] = messages as [
    MessageRecord,
    MessageRecord,
    MessageRecord,
    MessageRecord,
    MessageRecord,
    MessageRecord,
  ]
  await rig.allReach('sent', [a1, b1, c1])
  const held = await stored(a2)
  if (held.status === 'queued') {
    expect(held).toMatchObject({ heldBy: 'recipient' })
    expect(held.heldUntil).toBeGreaterThan(a2.createdAt)
  }
  await rig.allReach('sent', messages)
  const order = ids(client.frames)
  const ofA = ids([a1, a2, a3])
  expect(order.filter((id) => ofA.includes(id))).toEqual(ofA)
  expect(order.filter((id) => ids([b1, b2]).includes(id))).toEqual(ids([b1, b2]))
  expect(order.indexOf(c1.whatsappId)).toBeLessThan(order.indexOf(a2.whatsappId))
  const at = (message: MessageRecord) => times[order.indexOf(message.whatsappId)] ?? 0
  for (const [before, after] of [
    [a1, a2],
    [a2, a3],
    [b1, b2],
  ] as const)
    expect(at(after) - at(before)).toBeGreaterThan(690)
  expect(await stored(a2)).toMatchObject({ heldBy: null, heldUntil: null })
})

test('whoever comes back leaves before those accepted later', async () => {
  await paced({ messagesPerMinute: 600, perRecipientSeconds: 0.5 })
  const { drain } = await rig.hold(1)
  const { client } = timed()
  const messages = await acceptTo([1, 1, ...Array.from({ length: 15 }, (_, n) => n + 10)])
  drain.attach(client)
  await rig.allReach('sent', messages)
  const order = ids(client.frames)
  const back = order.indexOf(messages[1]!.whatsappId)
  expect(back).toBeGreaterThan(1)
  expect(back).toBeLessThan(order.length - 1)
  const others = ids(messages).filter((id) => id !== messages[1]!.whatsappId)
  expect(order.filter((id) => id !== messages[1]!.whatsappId)).toEqual(others)
})

test('high leaves before normal before bulk, each in order, however they are paced', async () => {
  await paced({ messagesPerMinute: 2_400, perRecipientSeconds: 0.05 })
  const { drain } = await rig.hold(1)
  const lanes = { bulk: [1, 2, 1, 2], normal: [3, 4, 3, 4], high: [5, 6, 5, 6] } as const
  const accepted = new Map<string, MessageRecord[]>()
  for (const [priority, recipients] of Object.entries(lanes)) {
    accepted.set(priority, await acceptTo(recipients, { priority: priority as keyof typeof lanes }))
  }
  const { client } = timed()
  drain.attach(client)
  const all = [...accepted.values()].flat()
  await rig.allReach('sent', all)
  const order = ids(client.frames)
  for (const messages of accepted.values()) {
    for (const recipient of new Set(messages.map((each) => each.recipient))) {
      const chain = ids(messages.filter((each) => each.recipient === recipient))
      expect(order.filter((id) => chain.includes(id))).toEqual(chain)
    }
  }
  expect(order[0]).toBe(accepted.get('high')![0]!.whatsappId)
  expect(order.indexOf(accepted.get('normal')![0]!.whatsappId)).toBeLessThan(order.indexOf(accepted.get('bulk')![0]!.whatsappId))
})

test('strangers beyond the day’s allowance wait for midnight; who wrote to us, and what is urgent, does not', async () => {
  await paced({ newContactsPerDay: 2 })
  const { drain } = await rig.hold(1)
  const { client } = timed()
  drain.attach(client)
  await hearFrom(9)
  const [one, two, three, four, known] = (await acceptTo([1, 2, 3, 4, 9])) as [
    MessageRecord,
    MessageRecord,
    MessageRecord,
    MessageRecord,
    MessageRecord,
  ]
  const [again] = await acceptTo([1])
  const [urgent] = await acceptTo([5], { priority: 'high' })
  await rig.allReach('sent', [one, two, known, again!, urgent!])
  const midnight = Math.ceil(Date.now() / 86_400_000) * 86_400_000
  await waitFor('both are held', async () => (await stored(four)).heldBy !== null)
  expect(await stored(three)).toMatchObject({ status: 'queued', heldBy: 'new_contacts', heldUntil: midnight })
  expect(await stored(four)).toMatchObject({ status: 'queued', heldBy: 'new_contacts', heldUntil: midnight })
  await hearFrom(3)
  drain.heard()
  await rig.allReach('sent', [three])
  expect((await stored(four)).status).toBe('queued')
  const next = await rig.hold(2)
  const other = timed()
  next.drain.attach(other.client)
  const [after] = await acceptTo([2])
  await rig.allReach('sent', [after!])
  expect((await stored(four)).status).toBe('queued')
  await paced({ newContactsPerDay: 10 })
  await rig.allReach('sent', [four])
})

test('after a 463 nobody new is written to until the time it gives; that message is never tried again, replies go on', async () => {
  const refused = (): SendOutcome => ({
    kind: 'rejected',
    code: 'reach_out_restricted',
    detail: 'closed',
    ackError: 463,
    untilMs: Date.now() + 1_500,
  })
  let isFirst = true
  const { drain } = await rig.hold(1)
  const { client } = timed(() => {
    const outcome = isFirst ? refused() : acked()
    isFirst = false
    return outcome
  })
  drain.attach(client)
  await hearFrom(9)
  const [rejected, stranger, urgent, friend] = [
    (await acceptTo([1]))[0]!,
    (await acceptTo([2]))[0]!,
    (await acceptTo([3], { priority: 'high' }))[0]!,
    (await acceptTo([9]))[0]!,
  ]
  await rig.allReach('sent', [friend])
  const held = await stored(stranger)
  if (held.status === 'queued') expect(held.heldBy).toBe('restriction')
  await rig.allReach('sent', [stranger, urgent])
  expect(await stored(rejected)).toMatchObject({ status: 'failed', error: { code: 'reach_out_restricted' }, attemptCount: 1 })
  expect(client.frames.filter(({ whatsappId }) => whatsappId === rejected.whatsappId)).toHaveLength(1)
})

test('a restriction that is stored binds the next holder, without any pacing', async () => {
  await rig.store.sessions.raiseEpoch(rig.sessionId, 1)
  const restriction = { reason: 'reach_out_restricted', until: Date.now() + 60_000 }
  await rig.store.sessions.update(rig.sessionId, 1, { restriction }, () => [])
  await hearFrom(9)
  const { drain } = await rig.hold(2)
  drain.attach(timed().client)
  const [stranger, friend] = await acceptTo([1, 9])
  await rig.allReach('sent', [friend!])
  expect(await stored(stranger!)).toMatchObject({ status: 'queued', heldBy: 'restriction', heldUntil: restriction.until })
})

test('settings change while it runs: slower at once, and off lets everything go', async () => {
  await paced({ messagesPerMinute: 1 })
  const { drain } = await rig.hold(1)
  const { client } = timed()
  drain.attach(client)
  const messages = await acceptTo([1, 2, 3])
  await paced({ messagesPerMinute: null, perRecipientSeconds: 3_600 })
  await rig.allReach('sent', messages)
  const [again] = await acceptTo([1])
  await waitFor('it is held', async () => (await stored(again!)).heldBy === 'recipient')
  await paced({ perRecipientSeconds: null })
  await rig.allReach('sent', [again!])
})

test('after a reconnect it begins slowly, and a session that recovers sends at half its rate', async () => {
  await paced({ messagesPerMinute: 1_200 })
  const { drain } = await rig.hold(1)
  const slow = timed()
  drain.attach(slow.client, true)
  await rig.allReach('sent', await acceptTo([1, 2, 3, 4, 5, 6]))
  expect((slow.times.at(-1) ?? 0) - (slow.times[0] ?? 0)).toBeGreaterThan(5 * 180 - 210)
  await drain.detach()
  const health = { score: 61, level: 'recovering', reasons: [], at: Date.now() } as never
  await rig.store.sessions.setHealth(rig.sessionId, health, () => [])
  drain.wake('settings')
  const half = timed()
  drain.attach(half.client)
  await rig.allReach('sent', await acceptTo(Array.from({ length: 11 }, (_, n) => n + 20)))
  expect((half.times.at(-1) ?? 0) - (half.times[0] ?? 0)).toBeGreaterThan(10 * 100 - 210)
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

test('Redis emptied under messages that are held and waiting: all leave once, in order, no faster', async () => {
  await paced({ messagesPerMinute: 1_200, perRecipientSeconds: 0.6 })
  const { drain } = await rig.hold(1)
  const { client, times } = timed(async () => {
    if (client.frames.length === 6) await rig.accepting.redis.flushall()
    return acked()
  })
  drain.attach(client)
  const messages = await acceptTo([1, 1, 2, 2, 3, 3, ...Array.from({ length: 10 }, (_, n) => n + 10)])
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
  await paced({ perRecipientSeconds: 4, newContactsPerDay: 3 })
  const messages = await acceptTo([1, 1, 2, 2, 3, 4])
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
      return (await redis.llen(framesKey)) >= 3 && (await Promise.all(waiting.map(stored))).every(({ heldBy }) => heldBy !== null)
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
  expect(await stored(stranger)).toMatchObject({ status: 'queued', heldBy: 'new_contacts' })
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
