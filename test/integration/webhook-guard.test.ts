// The guard at the moment of connecting: what a name resolves to then decides, whatever it resolved to when the endpoint was made.
import type { LookupAddress } from 'node:dns'
import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createGuardPolicy, type GuardPolicy, type Lookup } from '../../src/webhooks/guard-url.ts'
import { createGuardedAgent } from '../../src/webhooks/guarded-agent.ts'
import { postWebhook } from '../../src/webhooks/post-webhook.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'

let receiver: Receiver
beforeEach(async () => {
  receiver = await startReceiver()
})
afterEach(() => receiver.close())

/** Every name resolves to these, one list after the other; the last one stays. */
function resolvingTo(...answers: string[][]): Lookup {
  return (_name, _options, callback) => {
    const addresses = (answers.length > 1 ? answers.shift() : answers[0]) ?? []
    callback(
      null,
      addresses.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  }
}

async function post(policy: GuardPolicy, url: string, timeoutMs = 3_000) {
  const agent = createGuardedAgent(policy)
  try {
    return await postWebhook(agent, { url: new URL(url), headers: {}, body: '{"id":"evt_1"}' }, timeoutMs)
  } finally {
    await agent.destroy()
  }
}

describe('no connection is made', () => {
  test.each(['127.0.0.1', '127.1', '2130706433', '0', '0x7f000001', '[::ffff:127.0.0.1]', 'localhost'])(
    'to %s, where the receiver listens',
    async (host) => {
      const result = await post(createGuardPolicy([]), `http://${host}:${receiver.port}/`)
      expect(result).toMatchObject({ status: null, error: 'address_not_allowed', answer: null })
      expect(receiver.load.connections).toBe(0)
    },
  )

  test.each([[['127.0.0.1']], [['93.184.215.14', '127.0.0.1']], [['::1']], [['::ffff:127.0.0.1']], [['169.254.169.254']]])(
    'to a name that resolves to %j',
    async (addresses) => {
      const result = await post(createGuardPolicy([], resolvingTo(addresses)), `http://inside.test:${receiver.port}/`)
      expect(result.error).toBe('address_not_allowed')
      expect(receiver.load.connections).toBe(0)
    },
  )

  test('over https either', async () => {
    const result = await post(createGuardPolicy([], resolvingTo(['127.0.0.1'])), `https://inside.test:${receiver.port}/`)
    expect(result.error).toBe('address_not_allowed')
    expect(receiver.load.connections).toBe(0)
  })

  test('to a port that is not allowed, even in an allowed network', async () => {
    const result = await post(createGuardPolicy(['127.0.0.0/8']), 'http://127.0.0.1:25/')
    expect(result.error).toBe('address_not_allowed')
  })

  test('after a name that was good has been pointed inside', async () => {
    const agent = createGuardedAgent(createGuardPolicy(['127.0.0.2/32'], resolvingTo(['127.0.0.2'], ['127.0.0.1'])))
    const outside = await startReceiver({ host: '127.0.0.2', port: receiver.port })
    const request = {
      url: new URL(`http://rebinding.test:${receiver.port}/`),
      headers: { connection: 'close' },
      body: '{"id":"evt_1"}',
    }
    outside.answerWith({ status: 200, headers: { connection: 'close' } })
    expect((await postWebhook(agent, request, 3_000)).status).toBe(200)
    expect((await postWebhook(agent, request, 3_000)).error).toBe('address_not_allowed')
    expect(receiver.load.connections).toBe(0)
    await agent.destroy()
    await outside.close()
  })
})

test('an allowed network can be reached, by address and by name', async () => {
  const policy = createGuardPolicy(['127.0.0.0/8'], resolvingTo(['127.0.0.1']))
  expect((await post(policy, receiver.url)).status).toBe(204)
  expect((await post(policy, `http://demo.test:${receiver.port}/`)).status).toBe(204)
})

test('a redirect is not followed', async () => {
  const target = await startReceiver()
  receiver.answerWith({ status: 307, headers: { location: target.url } })
  const result = await post(createGuardPolicy(['127.0.0.0/8']), receiver.url)
  expect(result).toMatchObject({ status: 307, error: 'redirect_not_followed' })
  expect(target.load.connections).toBe(0)
  await target.close()
})

test('a name that never resolves ends at the deadline', async () => {
  const never: Lookup = () => undefined
  const result = await post(createGuardPolicy([], never), 'http://slow.test/', 300)
  expect(result).toMatchObject({ status: null, error: 'timed_out' })
})

test('connections are kept and used again', async () => {
  const agent = createGuardedAgent(createGuardPolicy(['127.0.0.0/8']))
  const request = { url: new URL(receiver.url), headers: {}, body: '{"id":"evt_1"}' }
  for (let n = 0; n < 20; n += 1) expect((await postWebhook(agent, request, 3_000)).status).toBe(204)
  expect(receiver.load.connections).toBeLessThanOrEqual(2)
  await agent.destroy()
})

test('an answer that is no HTTP is a failure with a word', async () => {
  const odd = createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
  await new Promise<void>((listening) => odd.listen(0, '127.0.0.1', listening))
  const { port } = odd.address() as { port: number }
  const result = await post(createGuardPolicy(['127.0.0.0/8']), `http://127.0.0.1:${port}/`)
  expect(result).toMatchObject({ status: null, error: 'answer_not_http' })
  odd.close()
})
