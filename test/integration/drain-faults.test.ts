// Draining under a seeded storm: takeovers, dead sockets, an emptied Redis and lost enqueues; nothing is lost or passes another.
import { expect, test } from 'vitest'
import { pino } from 'pino'
import { requeueStranded } from '../../src/messages/requeue-stranded.ts'
import { SendQueues } from '../../src/messages/send-queue.ts'
import { acceptMessage } from '../../src/messages/accept-message.ts'
import { lanes, type MessageRecord } from '../../src/store/message-store.ts'
import type { OutgoingMessage } from '../../src/whatsapp/whatsapp-client.ts'
import { acked, ScriptedClient, shownOf } from '../support/scripted-client.ts'
import { rigForEachTest } from '../support/rig-for-each-test.ts'
import { textRequest, type RigDrain, type SendRig } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'

let rig: SendRig
rigForEachTest((opened) => (rig = opened))

/** The same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Two API processes accept into all lanes; now and then one "dies" between store and queue. */
async function acceptAll(random: () => number, count: number): Promise<MessageRecord[]> {
  const apis = [rig.accepting, rig.accepting].map((deps) => {
    const redis = rig.connect('producer')
    return { ...deps, redis, queues: new SendQueues(redis, rig.prefix) }
  })
  await waitFor('both producers', () => apis.every(({ redis }) => redis.status === 'ready'))
  const accept = async (deps: (typeof apis)[number], n: number): Promise<MessageRecord> => {
    const priority = lanes[Math.floor(random() * 3)] ?? 'normal'
    const queues = random() < 0.05 ? { add: () => Promise.reject(new Error('died')) } : deps.queues
    const request = textRequest('+254 712 345 678', `message ${n}`, { priority })
    const input = { sessionId: rig.sessionId, request, idempotencyKey: `k${n}` }
    return (await acceptMessage({ ...deps, queues }, input)).message
  }
  const accepted: MessageRecord[] = []
  for (let n = 0; n < count; n += 4) {
    const batch = [0, 1, 2, 3].map((i) => accept(apis[i % 2]!, n + i))
    accepted.push(...(await Promise.all(batch)))
    if (random() < 0.3) await pause(random() * 20)
  }
  for (const { queues } of apis) queues.close()
  return accepted
}

test.each([1, 2, 3, 4])('seed %i: every lane arrives complete, once and in order', async (seed) => {
  const random = randomOf(seed)
  const frames: OutgoingMessage[] = []
  const laneOf = new Map<string, string>()
  const count = 120
  const over = new AbortController()

  const attach = (held: RigDrain): void => {
    const client = new ScriptedClient(async () => {
      if (random() < 0.2) await pause(random() * 10)
      return random() < 0.06 ? { kind: 'unknown', reason: 'no_ack' } : acked()
    }, frames)
    const send = client.send.bind(client)
    // As the connection does: without the lease the frame never leaves.
    client.send = async (message) => (held.lease.trusted ? send(message) : { kind: 'unknown', reason: 'lease_lost' })
    held.drain.attach(client)
  }
  const accepting = acceptAll(random, count)
  const storm = async () => {
    for (let epoch = 1; !over.signal.aborted; epoch += 1) {
      const held = await rig.hold(epoch)
      attach(held)
      const end = performance.now() + 100 + random() * 300
      while (!over.signal.aborted && performance.now() < end) {
        await pause(5 + random() * 20)
        if (held.deadSockets.splice(0).length > 0) attach(held)
        if (random() < 0.02) await rig.accepting.redis.flushall()
        if (random() < 0.1) await safetyNet()
      }
      held.lease.trusted = false
      if (random() < 0.5) await held.drain.close()
    }
  }
  const safetyNet = async () => {
    const { messages } = rig.store
    const listSessionsWithStale: typeof messages.listSessionsWithStale = (before, ...rest) =>
      messages.listSessionsWithStale(before + 60_000, ...rest)
    const deps = { redis: rig.accepting.redis, prefix: rig.prefix, announce: rig.announce, log: pino({ level: 'silent' }) }
    await requeueStranded({ ...deps, messages: { ...messages, listSessionsWithStale } })
  }
  const storming = storm()
  try {
    const accepted = await accepting
    for (const { whatsappId, priority } of accepted) laneOf.set(whatsappId, priority)
    await rig.allReach('sent', accepted, 40_000)
    const shown = shownOf(frames)
    expect(shown).toHaveLength(count)
    for (const lane of lanes) {
      const stored = accepted
        .filter(({ priority }) => priority === lane)
        .toSorted((a, b) => (a.sequence ?? 0) - (b.sequence ?? 0))
      expect(shown.filter((id) => laneOf.get(id) === lane)).toEqual(stored.map(({ whatsappId }) => whatsappId))
    }
  } finally {
    over.abort()
    await storming
  }
})
