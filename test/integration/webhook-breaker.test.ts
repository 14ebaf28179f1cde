// Breakers and gates with a real Redis: a dead endpoint is left alone by the whole fleet, costs no attempts, and holds up nobody else.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sleep } from '../../src/platform/clock.ts'
import {
  BreakerStates,
  countBreakers,
  readBreakers,
  switchBreaker,
  type BreakerSettings,
} from '../../src/webhooks/breaker-state.ts'
import { EndpointBreakers } from '../../src/webhooks/endpoint-breaker.ts'
import { EndpointGates } from '../../src/webhooks/endpoint-gate.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { waitFor } from '../support/wait.ts'
import { draft, silentLog, startWebhookBench, type WebhookBench } from '../support/webhooks.ts'

const breaker: BreakerSettings = { failureLimit: 3, openMs: 1_500, maxOpenMs: 4_000, probeMs: 5_000 }
let bench: WebhookBench
let receiver: Receiver
beforeEach(async () => {
  ;[bench, receiver] = await Promise.all([startWebhookBench({ settings: { breaker } }), startReceiver()])
})
afterEach(async () => {
  await bench.close()
  await receiver.close()
})

const failOne = async (n: number) => {
  const [id] = await bench.publish([draft(n)])
  await waitFor('the attempt failed', async () => (await bench.delivery(id ?? '')).attemptCount === 1)
}
const state = async (endpointId: string) => (await readBreakers(bench.connection, bench.prefix, [endpointId]))[0]

describe('a breaker', () => {
  test('opens, lets one through when its time is over, and closes at its success; waiting costs no attempt', async () => {
    const { id: endpointId } = await bench.endpoint(receiver)
    await bench.startRetryTick(250)
    receiver.answerWith({ status: 500 })
    for (let n = 0; n < 3; n += 1) await failOne(n)
    const opened = await state(endpointId)
    expect(opened).toMatchObject({ state: 'open', consecutiveFailureCount: 3 })
    const openUntil = Date.parse(opened?.openUntil ?? '')

    // The one try takes a while: nobody else may come meanwhile.
    const before = receiver.received.length
    receiver.answerWith({ status: 200, afterMs: 700 })
    const ids = await bench.publish(Array.from({ length: 20 }, (_, n) => draft(100 + n)))
    await waitFor('the one try has come', () => receiver.received.length > before)
    expect(receiver.received.length).toBe(before + 1)
    expect(receiver.received.at(-1)?.at).toBeGreaterThanOrEqual(openUntil)
    const all = await Promise.all(
      ids.map((id) =>
        waitFor('delivered', async () => {
          const delivery = await bench.delivery(id)
          return delivery.status === 'succeeded' ? delivery : null
        }),
      ),
    )
    expect(all.map((delivery) => delivery.attemptCount)).toEqual(ids.map(() => 1))
    const [, second] = receiver.received.slice(before)
    expect(second?.at).toBeGreaterThanOrEqual((receiver.received[before]?.at ?? 0) + 650)
    expect(await state(endpointId)).toMatchObject({ state: 'closed', consecutiveFailureCount: 0 })
  })

  test('stays open for longer each time that the one try fails', async () => {
    const { id: endpointId } = await bench.endpoint(receiver)
    await bench.startRetryTick(250)
    receiver.answerWith({ status: 500 })
    for (let n = 0; n < 3; n += 1) await failOne(n)
    const first = Date.parse((await state(endpointId))?.openUntil ?? '')
    await bench.publish([draft(9)])
    const second = await waitFor('it opened again', async () => {
      const until = Date.parse((await state(endpointId))?.openUntil ?? '')
      return until > first ? until : null
    })
    expect(second - first).toBeGreaterThanOrEqual(3_000)
  })

  test('of an endpoint that is deleted stays closed when the one try, which was under way, fails', async () => {
    const { id: endpointId } = await bench.endpoint(receiver)
    await bench.startRetryTick(250)
    receiver.answerWith({ status: 500 })
    for (let n = 0; n < 3; n += 1) await failOne(n)
    const before = receiver.received.length
    receiver.answerWith({ status: 500, afterMs: 600 })
    const [id = ''] = await bench.publish([draft(9)])
    await waitFor('the one try has come', () => receiver.received.length > before)
    await switchBreaker({ redis: bench.connection, prefix: bench.prefix, log: silentLog }, endpointId, false)
    expect(await state(endpointId)).toMatchObject({ state: 'closed', consecutiveFailureCount: 0 })
    await waitFor('it has failed', async () => (await bench.delivery(id)).attemptCount === 1)
    expect(await state(endpointId)).toMatchObject({ state: 'closed', consecutiveFailureCount: 0 })
    expect(await countBreakers(bench.connection, bench.prefix)).toEqual({ open: 0, 'half-open': 0 })
  })

  test('counts again as soon as its endpoint is switched on', async () => {
    const deps = { redis: bench.connection, prefix: bench.prefix, log: silentLog }
    const states = new BreakerStates(bench.connection, bench.prefix)
    const fail = () => states.fail('whk_1', Date.now(), breaker, false)
    await switchBreaker(deps, 'whk_1', false)
    expect(await fail()).toEqual({ failureCount: 0, openUntil: 0 })
    await states.succeed('whk_1', true)
    expect(await fail()).toEqual({ failureCount: 0, openUntil: 0 })
    await switchBreaker(deps, 'whk_1', true)
    expect(await fail()).toEqual({ failureCount: 1, openUntil: 0 })
  })

  test('does not open because one kind of event is refused', async () => {
    const { id: endpointId } = await bench.endpoint(receiver)
    receiver.answerWith({ status: 422 })
    for (let n = 0; n < 6; n += 1) await failOne(n)
    expect(await state(endpointId)).toMatchObject({ state: 'closed', consecutiveFailureCount: 0 })
  })

  test('of a dead endpoint does not hold up another one', async () => {
    const dead = await startReceiver()
    dead.answerWith('hang')
    await bench.endpoint(dead)
    await bench.endpoint(receiver)
    const ids = await bench.publish(Array.from({ length: 100 }, (_, n) => draft(n)))
    await waitFor('the living one has everything', () => receiver.delivered.size === ids.length / 2, 10_000)
    expect(dead.load.most).toBeLessThanOrEqual(10)
    await dead.close()
  })
})

describe('breakers in several processes', () => {
  const make = () => new EndpointBreakers({ states: new BreakerStates(bench.connection, bench.prefix), log: silentLog }, breaker)

  test('open together and let one attempt through between them', async () => {
    const fleet = [make(), make(), make()]
    const fail = async (breakers: EndpointBreakers) =>
      breakers.run(
        'whk_x',
        async () => 'bad',
        () => true,
      )
    for (const breakers of fleet) await fail(breakers)
    await waitFor('all know', async () =>
      (await Promise.all(fleet.map((each) => each.blockedUntil('whk_x')))).every((until) => until > 0),
    )
    const openUntil = (await new BreakerStates(bench.connection, bench.prefix).read('whk_x')).openUntil
    await waitFor('the time is over', () => Date.now() > openUntil)
    let tries = 0
    const answered = Promise.withResolvers<string>()
    const attempt = () => {
      tries += 1
      return answered.promise
    }
    let keptBack = 0
    const runs = [...fleet, ...fleet, ...fleet].map(async (each) => {
      const outcome = await each.run('whk_x', attempt, () => false)
      if (!outcome.ran) keptBack += 1
      return outcome
    })
    await waitFor('each tries or is kept back', () => tries + keptBack === runs.length)
    expect(tries).toBe(1)
    answered.resolve('good')
    const outcomes = await Promise.all(runs)
    expect(outcomes.filter((outcome) => outcome.ran)).toEqual([{ ran: true, result: 'good' }])
    await waitFor('all are closed', async () =>
      (await Promise.all(fleet.map((each) => each.blockedUntil('whk_x')))).every((until) => until === 0),
    )
    const after = await Promise.all(
      fleet.map((each) =>
        each.run(
          'whk_x',
          async () => 'good',
          () => false,
        ),
      ),
    )
    expect(after.every((outcome) => outcome.ran)).toBe(true)
    for (const each of fleet) each.close()
  })

  test('give the one try back when it could not be made', async () => {
    const [first, second] = [make(), make()]
    const states = new BreakerStates(bench.connection, bench.prefix)
    await states.fail('whk_y', Date.now() - 10_000, breaker, true)
    const broken = first.run(
      'whk_y',
      async () => Promise.reject(new Error('the store is away')),
      () => false,
    )
    await expect(broken).rejects.toThrow('the store is away')
    expect(
      await second.run(
        'whk_y',
        async () => 'good',
        () => false,
      ),
    ).toEqual({ ran: true, result: 'good' })
    first.close()
    second.close()
  })
})

describe('a gate', () => {
  test('lets so many in, makes a few wait, and sends the rest back at rising times', async () => {
    const gates = new EndpointGates({ maxInFlight: 2, maxWaitMs: 60_000, maxWaitingEach: 2, maxWaiting: 10 })
    const leaveFirst = await gates.enter('whk_1')
    const leaveSecond = await gates.enter('whk_1')
    const third = gates.enter('whk_1')
    const fourth = gates.enter('whk_1')
    const back = await Promise.all([gates.enter('whk_1'), gates.enter('whk_1'), gates.enter('whk_1')])
    expect(back.every((time) => typeof time === 'number' && time >= Date.now())).toBe(true)
    expect(back).toEqual((back as number[]).toSorted((a, b) => a - b))
    expect(new Set(back).size).toBe(3)
    expect(await gates.enter('whk_2')).toBeTypeOf('function')
    expect([leaveFirst, leaveSecond].map((leave) => typeof leave)).toEqual(['function', 'function'])
    ;(leaveFirst as () => void)()
    expect(await third).toBeTypeOf('function')
    ;(leaveSecond as () => void)()
    expect(await fourth).toBeTypeOf('function')
  })

  test('makes nobody wait for an endpoint whose requests take too long', async () => {
    const gates = new EndpointGates({ maxInFlight: 1, maxWaitMs: 1_000, maxWaitingEach: 10, maxWaiting: 10 })
    const leave = await gates.enter('whk_1')
    const first = gates.enter('whk_1')
    await waitFor(
      'the request has taken more than a second',
      async () => typeof (await Promise.race([gates.enter('whk_1'), sleep(0)])) === 'number',
      5_000,
      250,
    )
    ;(leave as () => void)()
    expect(await first).toBeTypeOf('function')
  })

  test('lets no more wait in the process than it has room for, whatever the endpoint', async () => {
    const gates = new EndpointGates({ maxInFlight: 1, maxWaitMs: 60_000, maxWaitingEach: 2, maxWaiting: 2 })
    const leave = await Promise.all(['whk_1', 'whk_2'].map((id) => gates.enter(id)))
    const waiting = [gates.enter('whk_1'), gates.enter('whk_2')]
    expect(await gates.enter('whk_1')).toBeTypeOf('number')
    expect(await gates.enter('whk_3')).toBeTypeOf('function')
    for (const each of leave) (each as () => void)()
    expect((await Promise.all(waiting)).map((each) => typeof each)).toEqual(['function', 'function'])
  })
})
