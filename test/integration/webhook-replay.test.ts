// Replays through real queues: by time and type, beside new events and not before them, whole whatever dies in between.
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { advanceReplays } from '../../src/webhooks/advance-replays.ts'
import { BreakerStates, readBreakers } from '../../src/webhooks/breaker-state.ts'
import { breakerDefaults } from '../../src/webhooks/endpoint-breaker.ts'
import { startReplay } from '../../src/webhooks/replay.ts'
import type { EndpointRecord, EventDraft } from '../../src/store/event-store.ts'
import type { ReplayRecord } from '../../src/store/replay-store.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { waitFor } from '../support/wait.ts'
import { draft, silentLog, startWebhookBench, type WebhookBench } from '../support/webhooks.ts'

let bench: WebhookBench
let receiver: Receiver
let endpoint: EndpointRecord

beforeEach(async () => {
  turn = { after: '' }
  ;[bench, receiver] = await Promise.all([startWebhookBench(), startReceiver()])
})
afterEach(async () => {
  await bench.close()
  await receiver.close()
})

const never = new AbortController().signal
const many = (count: number, from = 0) => Array.from({ length: count }, (_, n) => draft(from + n))
/** Written before the endpoint was there: nobody was told of them. */
const past = async (drafts: EventDraft[]) => {
  expect(await bench.publish(drafts)).toEqual([])
}
const listen = async (events?: string[]) => {
  endpoint = await bench.endpoint(receiver, events ? { events } : {})
}
const replay = (input: Partial<Parameters<typeof startReplay>[2]> = {}): Promise<ReplayRecord> =>
  startReplay(bench.store, endpoint, { since: 0, ...input })
let turn: { after: string }
const tick = () => advanceReplays({ ...bench.store, replayQueue: bench.replayQueue, turn, log: silentLog }, never)
const found = async (id: string) => {
  const { data } = await bench.store.replays.list({ endpointId: endpoint.id, limit: 50 })
  return data.find((each) => each.id === id)
}
const finished = (id: string) =>
  waitFor('the replay has finished', async () => {
    const now = await found(id)
    return now?.status === 'finished' ? now : null
  })
const ids = () => receiver.received.map(({ event }) => event.id)

describe('a replay', () => {
  test('delivers what the log holds, signed, with the ids of the events, and counts it', async () => {
    await past(many(250))
    await listen()
    await bench.startRetryTick()
    const { id } = await replay()
    const ended = await finished(id)
    expect(ended.deliveryCount).toBe(250)
    await waitFor('all have come', () => receiver.delivered.size === 250)
    expect(receiver.received).toHaveLength(250)
    expect(receiver.received.every(({ isVerified }) => isVerified)).toBe(true)
    const log = await bench.store.events.read({ sessionId: bench.sessionId, limit: 300 })
    expect(new Set(ids())).toEqual(new Set(log.events.map((event) => event.id)))
    // Attempts are written a moment after the answers.
    await waitFor('all are recorded', async () => (await bench.store.deliveries.countByStatus()).succeeded === 250)
    const [delivery] = (await bench.store.deliveries.list({ endpointId: endpoint.id, limit: 1 })).data
    expect(delivery).toMatchObject({ replayId: id, attemptCount: 1 })
  })

  test('takes only its time and its types, and of them only what the endpoint has subscribed to', async () => {
    await past([draft(1), { type: 'session.status', data: {} }])
    await new Promise((resolve) => setTimeout(resolve, 10))
    const since = Date.now()
    await past([draft(2), { type: 'message.read', data: {} }, { type: 'session.status', data: {} }])
    const until = Date.now()
    await waitFor('time goes on', () => Date.now() > until)
    await past([draft(3)])
    await listen(['message.*'])
    const { types } = await replay({ since, until, types: ['message.sent', 'session.*'] })
    expect(types).toEqual(['message.sent'])
    await tick()
    await waitFor('one has come', () => receiver.received.length > 0)
    const [running] = await bench.store.replays.listRunning({ limit: 9 })
    expect(running).toBeUndefined()
    expect(receiver.received.map(({ event }) => event.data)).toEqual([draft(2).data])
  })

  test.each([
    [{ since: Date.now() + 1e9 }, 'invalid_request'],
    [{ since: 10, until: 5 }, 'invalid_request'],
    [{ types: ['session.*'] }, 'invalid_request'],
    [{ types: ['nonsense'] }, 'invalid_request'],
  ])('of %j is refused', async (input, code) => {
    await listen(['message.*'])
    await expect(replay(input)).rejects.toMatchObject({ code })
    expect(await bench.store.replays.listRunning({ limit: 9 })).toEqual([])
  })

  test('runs once per endpoint at a time, and not to one that is disabled', async () => {
    await listen()
    await replay()
    await expect(replay()).rejects.toMatchObject({ code: 'replay_running' })
    await bench.store.endpoints.update(endpoint.id, { enabled: false })
    endpoint = { ...endpoint, enabled: false }
    await expect(replay()).rejects.toMatchObject({ code: 'endpoint_disabled' })
    await tick()
    expect(await bench.store.replays.listRunning({ limit: 9 })).toEqual([])
  })

  test('goes on only as fast as its deliveries are made use of, and can be stopped', async () => {
    await past(many(1_000))
    await listen()
    receiver.answerWith('hang')
    const { id } = await replay()
    for (let n = 0; n < 5; n += 1) await tick()
    expect(await found(id)).toMatchObject({ status: 'running', deliveryCount: 200 })
    await waitFor('requests are under way', () => receiver.load.open > 0)
    expect(receiver.load.most).toBeLessThanOrEqual(2)
    await bench.store.replays.stop(endpoint.id, id, Date.now())
    receiver.answerWith({ status: 200 })
    expect(await tick()).toBe(0)
    expect(await found(id)).toMatchObject({ status: 'stopped', deliveryCount: 200 })
  })

  test('does not hold up what is new', async () => {
    await past(many(400))
    await listen()
    receiver.answerWith(({ event }) => ({
      status: 200,
      afterMs: (event.data['message'] as { n: number }).n < 400 ? 60 : 0,
    }))
    await bench.startRetryTick()
    const { id } = await replay()
    await waitFor('the replay is under way', () => receiver.received.length > 10)
    const fresh = new Set(await bench.publish(many(50, 1_000)))
    await waitFor('all that is new has come', async () => {
      const all = await Promise.all([...fresh].map((each) => bench.delivery(each)))
      return all.every(({ status }) => status === 'succeeded')
    })
    expect(receiver.delivered.size).toBeLessThan(400)
    expect(await bench.store.replays.countWaiting(id)).toBeGreaterThan(0)
  })

  test.each([429, 500])('that is answered with %i holds up nothing that is new', async (status) => {
    await past(many(100))
    await listen()
    receiver.answerWith(({ event }) => ({ status: (event.data['message'] as { n: number }).n < 100 ? status : 200 }))
    await bench.startRetryTick()
    await replay()
    const states = new BreakerStates(bench.connection, bench.prefix, 'replay-breaker')
    await waitFor('its own breaker has opened', async () => (await states.read(endpoint.id)).openUntil > 0)
    const fresh = await bench.publish(many(5, 1_000))
    await waitFor('all that is new has come', async () => {
      const all = await Promise.all(fresh.map((each) => bench.delivery(each)))
      return all.every((each) => each.status === 'succeeded' && each.attemptCount === 1)
    })
    const [breaker] = await readBreakers(bench.connection, bench.prefix, [endpoint.id])
    expect(breaker).toEqual({ state: 'closed', openUntil: null, consecutiveFailureCount: 0 })
    expect((await states.read(endpoint.id)).openUntil).toBeGreaterThan(0)
    for (const key of await bench.connection.keys(`${bench.prefix}:*breaker*`)) {
      expect(await bench.connection.pttl(key), `${key} is forgotten by itself`).toBeGreaterThan(0)
    }
  })

  test('waits where new events wait', async () => {
    await past(many(100))
    await listen()
    const states = new BreakerStates(bench.connection, bench.prefix)
    const settings = { ...breakerDefaults, openMs: 60_000 }
    await states.fail(endpoint.id, Date.now(), settings, true)
    await replay()
    expect(await tick()).toBe(100)
    await waitFor(
      'all is put off',
      async () => (await bench.store.deliveries.listDue(endpoint.id, Date.now() + 30_000, 1)).length === 0,
    )
    expect(receiver.received).toHaveLength(0)
  })

  test('makes each delivery once when several walk it, and loses none when Redis forgets them', async () => {
    await past(many(150))
    await listen()
    receiver.answerWith('hang')
    const { id } = await replay()
    await Promise.all([tick(), tick(), tick(), tick()])
    await Promise.all([tick(), tick(), tick()])
    expect(await finished(id)).toMatchObject({ deliveryCount: 150 })
    await bench.connection.flushall()
    receiver.answerWith({ status: 200 })
    await bench.startRetryTick()
    await waitFor('all have come', () => receiver.delivered.size === 150, 45_000)
    const { data } = await bench.store.deliveries.list({ endpointId: endpoint.id, limit: 200 })
    expect(data).toHaveLength(150)
  })

  test('that cannot go on does not stop those after it', async () => {
    await past(many(3))
    await listen()
    const stuck = await replay({ since: 1 })
    endpoint = await bench.endpoint(receiver)
    const { id } = await replay({ since: 2 })
    expect((await bench.store.replays.listRunning({ limit: 9 })).map((each) => each.id)).toEqual([stuck.id, id])
    // Its place in the log is none: as after a restore.
    await bench.store.replays.advance(stuck, { place: 'nowhere', status: 'running', at: 1 }, [])
    await expect(tick()).rejects.toMatchObject({ code: 'invalid_request' })
    expect((await bench.store.replays.listRunning({ limit: 9 })).map((each) => each.id)).toEqual([stuck.id])
    await waitFor('what the other made has come', () => receiver.delivered.size === 3)
  })

  test('ends with the log, whatever a wrong clock has written in between', async () => {
    await past(many(50))
    await past([draft(50)])
    await past(many(300, 51))
    const db = new DatabaseSync(bench.storePath)
    db.prepare('UPDATE events SET at = at + ? WHERE sequence = 51').run(3_600_000)
    db.close()
    await listen()
    const { id } = await replay()
    await bench.startRetryTick()
    expect((await finished(id)).deliveryCount).toBe(350)
  })

  test('passes over what is not of its time, and comes to what is', async () => {
    await past(many(1_500))
    const db = new DatabaseSync(bench.storePath)
    db.prepare('UPDATE events SET at = at - ? WHERE sequence NOT IN (1, 1400)').run(30_000)
    db.close()
    await listen()
    const { id } = await replay({ since: Date.now() - 10_000 })
    expect(await tick()).toBe(2)
    expect(await found(id)).toMatchObject({ status: 'finished', deliveryCount: 2 })
  })

  test('has its turn however many others wait for their receivers', async () => {
    await past(many(150))
    const nextAttemptAt = Date.now() + 600_000
    for (let n = 0; n < 200; n += 1) {
      await listen()
      const stuck = await replay()
      const waiting = {
        eventId: 'evt_x',
        endpointId: endpoint.id,
        sessionId: bench.sessionId,
        eventType: 'message.sent' as const,
      }
      const made = Array.from({ length: 101 }, () => ({ ...waiting, nextAttemptAt }))
      await bench.store.replays.advance(stuck, { place: '0', status: 'running', at: 1 }, made)
    }
    await listen()
    await replay()
    expect([await tick(), await tick()]).toEqual([0, 150])
  })

  test('of a session’s own endpoint leaves out what tells of fleet-wide ones', async () => {
    const told = (sessionId: string | null): EventDraft => ({ type: 'webhook.disabled', data: { endpoint: { sessionId } } })
    await past([told(null), told(bench.sessionId)])
    await listen()
    await replay()
    expect(await tick()).toBe(1)
    await waitFor('it has come', () => receiver.delivered.size === 1)
    expect(receiver.received[0]?.event.data).toEqual(told(bench.sessionId).data)
  })

  test('of a fleet-wide endpoint takes the events of all sessions', async () => {
    await past(many(3))
    await listen()
    await bench.store.endpoints.create({ ...endpoint, id: `${endpoint.id.slice(0, -1)}z`, sessionId: null })
    const { data } = await bench.store.endpoints.list({ sessionId: null, limit: 1 })
    const { sessionId } = await startReplay(bench.store, data[0] as EndpointRecord, { since: 0 })
    expect(sessionId).toBeNull()
    expect(await tick()).toBe(3)
  })
})
