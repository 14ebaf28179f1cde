// Redis goes away: nothing is stored meanwhile, the answer is quick, and what was accepted before arrives in order.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ApiError } from '../../scripts/support/api-client.ts'
import { startTestFleet, type TestFleet } from '../support/fleet.ts'
import { waitFor } from '../support/wait.ts'

let rig: TestFleet
beforeAll(async () => {
  rig = await startTestFleet({ sessions: 1, env: { UJUMBE_SESSION_WORKERS: '1' } })
})
afterAll(() => rig.close())

test('with Redis stopped a send answers 503 and stores nothing; after its return all accepted messages arrive in order', async () => {
  const person = '254711000001'
  const session = await rig.pairedSession('254700000001')
  await rig.sandbox.addPhone({ phoneNumber: person })
  const api = rig.fleet.admin.withKey(session.apiKey)
  const accepted: string[] = []
  for (let n = 1; n <= 60; n += 1) accepted.push((await api.sendText(person, `message #${n}`)).whatsappId)
  await rig.fleet.pm2('stop', 'redis', '--silent')

  const startedAt = performance.now()
  const refused = await api.sendText(person, 'never stored', { idempotencyKey: 'while-away' }).catch((error: unknown) => error)
  const tookMs = performance.now() - startedAt
  expect(refused).toBeInstanceOf(ApiError)
  expect((refused as ApiError).problem).toMatchObject({ status: 503, code: 'redis_unavailable' })
  expect(tookMs).toBeLessThan(2_000)

  await rig.fleet.pm2('start', 'redis', '--silent')
  await waitFor('the API takes messages again', async () => (await fetch(`${rig.fleet.apiUrl}/readyz`)).ok, 20_000, 100)
  accepted.push((await api.sendText(person, 'message #61', { idempotencyKey: 'while-away-2' })).whatsappId)
  const shown = await waitFor(
    'all 61 are on the phone',
    async () => {
      const messages = await rig.sandbox.messages(person)
      return messages.length >= 61 ? messages : undefined
    },
    60_000,
    200,
  )
  expect(shown.toSorted((a, b) => a.order - b.order).map((message) => message.id)).toEqual(accepted)
})
