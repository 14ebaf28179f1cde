// Accepting messages on a real Redis and a real store: idempotency, limits, and what an outage may and may not leave behind.
import { beforeEach, expect, test } from 'vitest'
import { acceptMessage, type AcceptInput } from '../../src/messages/accept-message.ts'
import { whatsappIdOf } from '../../src/platform/id.ts'
import { sendQueueName } from '../../src/messages/send-queue.ts'
import { startTestRedis } from '../support/redis.ts'
import { rigForEachTest } from '../support/rig-for-each-test.ts'
import { openSendRig, textRequest, type SendRig } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'

let rig: SendRig
rigForEachTest((opened) => (rig = opened), { maxQueueDepth: 5 })
beforeEach(async () => {
  await waitFor('the producer connection', () => rig.accepting.redis.status === 'ready')
})

const input = (body: string, more: Partial<AcceptInput> = {}): AcceptInput => {
  return { sessionId: rig.sessionId, request: textRequest('+254 712 345 678', body), idempotencyKey: null, ...more }
}
const stored = async () => (await rig.store.messages.list({ sessionId: rig.sessionId, limit: 50 })).data

test('what is accepted is stored and queued, with its WhatsApp id fixed, and nothing of it stands in Redis but its id', async () => {
  const { message, replayed } = await acceptMessage(rig.accepting, input('a secret'))
  expect(replayed).toBe(false)
  expect(message).toMatchObject({
    status: 'queued',
    sequence: 1,
    whatsappId: whatsappIdOf(message.id),
    recipient: '254712345678@s.whatsapp.net',
    address: { input: '+254 712 345 678', phoneNumber: '254712345678' },
  })
  expect(await stored()).toEqual([message])
  const { redis } = rig.accepting
  const key = `${rig.prefix}:bull:${sendQueueName(rig.sessionId)}`
  expect(await redis.zrange(`${key}:prioritized`, '0', '-1')).toEqual([message.id])
  const job = JSON.stringify(await redis.hgetall(`${key}:${message.id}`))
  for (const secret of ['a secret', '254712345678', '712 345 678']) expect(job).not.toContain(secret)
  expect(rig.published.map(({ event }) => event.type)).toEqual(['message.queued'])
})

test('the same key and body is the same message, however the fields are ordered', async () => {
  const first = await acceptMessage(rig.accepting, input('hi', { idempotencyKey: 'k' }))
  const shuffled = Object.fromEntries(Object.entries(textRequest('+254 712 345 678', 'hi')).toReversed())
  const request = shuffled as unknown as AcceptInput['request']
  const again = await acceptMessage(rig.accepting, input('hi', { idempotencyKey: 'k', request }))
  expect(again).toMatchObject({ message: first.message, replayed: true, position: null })
  expect(await stored()).toHaveLength(1)
})

test('twenty requests at once with one key are one message', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => acceptMessage(rig.accepting, input('hi', { idempotencyKey: 'k' }))),
  )
  expect(new Set(answers.map(({ message }) => message.id)).size).toBe(1)
  expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
  expect(await stored()).toHaveLength(1)
})

test('another body under a used key is refused', async () => {
  await acceptMessage(rig.accepting, input('hi', { idempotencyKey: 'k' }))
  await expect(acceptMessage(rig.accepting, input('ho', { idempotencyKey: 'k' }))).rejects.toMatchObject({
    code: 'idempotency_key_reused',
  })
  expect(await stored()).toHaveLength(1)
})

test('a full queue refuses more and says when to try again', async () => {
  for (let n = 0; n < 5; n += 1) await acceptMessage(rig.accepting, input(`${n}`))
  await expect(acceptMessage(rig.accepting, input('one too many'))).rejects.toMatchObject({
    code: 'queue_full',
    retryAfterSeconds: expect.any(Number) as number,
  })
  expect(await stored()).toHaveLength(5)
})

test('an unknown session, a deleted one, a wrong address and a quote of nothing are refused and leave nothing', async () => {
  await expect(acceptMessage(rig.accepting, input('x', { sessionId: 'ses_unknown' }))).rejects.toMatchObject({
    code: 'not_found',
  })
  const wrongTo = input('x', { request: textRequest('0712', 'x') })
  await expect(acceptMessage(rig.accepting, wrongTo)).rejects.toMatchObject({ code: 'invalid_request' })
  const replyTo = 'msg_00000000000000000000000000'
  const wrongQuote = input('x', { request: textRequest('+254 712 345 678', 'x', { replyTo }) })
  await expect(acceptMessage(rig.accepting, wrongQuote)).rejects.toMatchObject({
    code: 'invalid_request',
    errors: [{ path: 'replyTo' }],
  })
  expect(await stored()).toEqual([])
  await rig.store.sessions.request(rig.sessionId, 'delete', Date.now())
  await expect(acceptMessage(rig.accepting, input('x'))).rejects.toMatchObject({ code: 'not_found' })
})

test('when only the enqueue fails or hangs the message is accepted all the same', async () => {
  const hanging = { ...rig.accepting, queues: { add: () => new Promise<void>(() => undefined) } }
  const failing = { ...rig.accepting, queues: { add: () => Promise.reject(new Error('away')) } }
  await acceptMessage(failing, input('1'))
  await acceptMessage(hanging, input('2'))
  expect((await stored()).map(({ status }) => status)).toEqual(['queued', 'queued'])
})

test('while Redis is away or does not answer nothing is stored, and the answer comes within two seconds', async () => {
  const own = await startTestRedis()
  const other = await openSendRig(own)
  try {
    await other.accept('before')
    const refused = async () => {
      const startedAt = performance.now()
      const request = textRequest('+254 712 345 678', 'meanwhile')
      const attempt = acceptMessage(other.accepting, { sessionId: other.sessionId, request, idempotencyKey: null })
      await expect(attempt).rejects.toMatchObject({ code: 'redis_unavailable', retryAfterSeconds: 1 })
      expect(performance.now() - startedAt).toBeLessThan(2_000)
    }
    own.pause()
    await refused()
    own.resume()
    await own.kill()
    await refused()
    await own.start()
    await other.accept('after')
    const { data } = await other.store.messages.list({ sessionId: other.sessionId, limit: 10 })
    expect(data.map(({ content }) => (content['text'] as { body: string }).body).toSorted()).toEqual(['after', 'before'])
  } finally {
    await other.close()
    await own.close()
  }
})
