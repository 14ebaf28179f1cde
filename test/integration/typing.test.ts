// The setting `typing` on the send path: which messages it is asked for, what a handover makes of it, and what forecasts know of it.
import { expect, test } from 'vitest'
import { pino } from 'pino'
import type { SendQueueDrain } from '../../src/messages/drain-queue.ts'
import { SessionForecasts } from '../../src/messages/forecast-session.ts'
import { typingMsOf } from '../../src/messages/typing-time.ts'
import { sleep } from '../../src/platform/clock.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'
import type { OutgoingMessage, SendOutcome } from '../../src/whatsapp/whatsapp-client.ts'
import { acked, ScriptedClient } from '../support/scripted-client.ts'
import { rigForEachTest } from '../support/rig-for-each-test.ts'
import type { SendRig } from '../support/send-rig.ts'
import { waitFor } from '../support/wait.ts'

let rig: SendRig
rigForEachTest((opened) => (rig = opened), { typing: true })

/** As the real client does, only that nobody sees it. */
class TypingClient extends ScriptedClient {
  override async send(message: OutgoingMessage, _ackTimeoutMs = 0, hurry?: AbortSignal): Promise<SendOutcome> {
    await sleep(message.typingMs ?? 0, hurry)
    return super.send(message)
  }
}

const asked = (client: ScriptedClient) => client.frames.map(({ typingMs }) => typingMs)

test('each message is typed for its own time, also after the setting was changed under way', async () => {
  const client = new ScriptedClient()
  const { drain } = await rig.hold(1)
  drain.attach(client)
  const first = await rig.accept('Habari ya leo? Uko salama?')
  await rig.allReach('sent', [first])
  await rig.configure({ typing: false })
  const second = await rig.accept('Habari tena')
  await rig.allReach('sent', [second])
  await rig.configure({ typing: true })
  const third = await rig.accept('Na tena')
  await rig.allReach('sent', [third])
  expect(asked(client)).toEqual([typingMsOf(first), 0, typingMsOf(third)])
  expect(typingMsOf(first)).toBeGreaterThan(0)
})

test('a message whose outcome is unknown is not typed again', async () => {
  const client = new ScriptedClient((_, tryNumber) => (tryNumber === 1 ? { kind: 'unknown', reason: 'test' } : acked()))
  const { drain, deadSockets } = await rig.hold(1)
  drain.attach(client)
  const message = await rig.accept('Habari')
  await waitFor('the socket given up', () => deadSockets.length === 1)
  drain.attach(client)
  await rig.allReach('sent', [message])
  expect(asked(client)).toEqual([typingMsOf(message), 0])
})

test('a holder that gives the session up does not wait for the typing: the message leaves and its outcome is stored', async () => {
  const client = new TypingClient()
  const { drain } = await rig.hold(1, { ackTimeoutMs: 60_000 })
  drain.attach(client)
  const message = await rig.accept('a'.repeat(500))
  await rig.allReach('sending', [message])
  const startedAt = performance.now()
  await drain.detach()
  expect(performance.now() - startedAt).toBeLessThan(typingMsOf(message))
  expect(await rig.statuses([message])).toEqual(['sent'])
})

/** How wrong the median forecast of a queue of twelve was, as a part of the time until its message left. */
async function medianError(drain: SendQueueDrain): Promise<number> {
  const { messages: store } = rig.store
  const deps = {
    messages: store,
    redis: rig.accepting.redis,
    prefix: rig.prefix,
    fleetPerSecond: null,
    log: pino({ level: 'silent' }),
  }
  const accepted: MessageRecord[] = []
  for (let n = 0; n < 12; n += 1) {
    accepted.push(await rig.accept(`Habari ya leo, mgonjwa wetu? #${n}`, { to: `+2547000000${10 + n}` }))
  }
  drain.attach(new TypingClient())
  await rig.allReach('sending', accepted.slice(0, 1))
  const session = await rig.store.sessions.get(rig.sessionId)
  if (!session) throw new Error('the session is gone')
  const askedAt = Date.now()
  const places = await new SessionForecasts(deps).placesOf(session, accepted.slice(1))
  await rig.allReach('sent', accepted, 60_000)
  await drain.detach()
  const errors = await Promise.all(
    accepted.slice(1).map(async ({ id }) => {
      const sendingAt = (await store.get(rig.sessionId, id))?.reachedAt.sending ?? Number.NaN
      return Math.abs(sendingAt - (places.get(id)?.estimatedSendAt ?? Number.NaN)) / Math.max(sendingAt - askedAt, 500)
    }),
  )
  return errors.toSorted((a, b) => a - b)[Math.floor(errors.length / 2)] ?? Number.NaN
}

test.each([
  ['unpaced', {}],
  ['paced', { messagesPerMinute: 60 }],
])(
  'of the queue of a session that types, %s, the median forecast is wrong by less than a tenth',
  async (_, settings) => {
    await rig.configure(settings)
    const { drain } = await rig.hold(2)
    await rig.store.sessions.update(rig.sessionId, 2, { status: 'connected' }, () => [])
    // No forecast knows of a machine that stands still meanwhile: once in three times it must not have.
    const errors: number[] = []
    while (errors.length < 3 && !(Math.min(...errors) < 0.1)) errors.push(await medianError(drain))
    expect(Math.min(...errors)).toBeLessThan(0.1)
  },
  180_000,
)
