// The only session worker dies in the middle of 200 messages: all arrive, once, in order.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestFleet, type TestFleet } from '../support/fleet.ts'
import { waitFor } from '../support/wait.ts'

let rig: TestFleet
beforeAll(async () => {
  rig = await startTestFleet({ sessions: 1, env: { UJUMBE_SESSION_WORKERS: '1' } })
})
afterAll(() => rig.close())

test('kill -9 of the only session worker loses, doubles and reorders nothing', async () => {
  const person = '254711000001'
  const session = await rig.pairedSession('254700000001')
  await rig.sandbox.addPhone({ phoneNumber: person, autoRead: true })
  const api = rig.fleet.admin.withKey(session.apiKey)
  const accepted: string[] = []
  for (let n = 1; n <= 200; n += 1) {
    const message = await api.sendText(person, `message #${n}`, { idempotencyKey: `k${n}` })
    accepted.push(message.whatsappId)
    if (n === 100) {
      await waitFor('some messages are on the phone', async () => (await rig.sandbox.messages(person)).length >= 5)
      const [pid] = await rig.fleet.pids('session-worker')
      process.kill(pid ?? 0, 'SIGKILL')
    }
  }
  const shown = await waitFor(
    'all 200 are on the phone',
    async () => {
      const messages = await rig.sandbox.messages(person)
      return messages.length >= 200 ? messages : undefined
    },
    60_000,
    200,
  )
  expect(shown.toSorted((a, b) => a.order - b.order).map((message) => message.id)).toEqual(accepted)
  await waitFor(
    'all are known to be read',
    async () => (await api.messages('status=read&limit=200')).data.length === 200,
    30_000,
    200,
  )
})
