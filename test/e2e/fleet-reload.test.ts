// A whole fleet under PM2 that is reloaded, scaled up and scaled down while messages are asked for: no request is refused, no frame repeated.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { DemoSession } from '../../scripts/demo/pair.ts'
import { unpaced } from '../../scripts/support/api-client.ts'
import { startTestFleet, type TestFleet } from '../support/fleet.ts'
import { waitFor } from '../support/wait.ts'

const person = '254711000001'
const sessionCount = 4
let rig: TestFleet
let sessions: DemoSession[]
beforeAll(async () => {
  rig = await startTestFleet({ sessions: sessionCount, env: { UJUMBE_SESSION_WORKERS: '2', UJUMBE_LEASE_TTL_MS: '3000' } })
  await rig.sandbox.addPhone({ phoneNumber: person })
  sessions = []
  for (let i = 0; i < sessionCount; i++) {
    const session = await rig.pairedSession(String(254700000001 + i))
    await rig.fleet.admin.call('PATCH', `/v1/sessions/${session.id}`, { settings: unpaced })
    sessions.push(session)
  }
}, 120_000)
afterAll(() => rig.close())

/** Sends numbered messages while `change` is carried out; what is accepted must then be shown once, in order, without a repeated frame. */
async function sendDuring(change: () => Promise<void>) {
  const before = (await rig.sandbox.phone(person)).counts
  const ending = new AbortController()
  const sendAll = async (session: DemoSession) => {
    const api = rig.fleet.admin.withKey(session.apiKey)
    const accepted: string[] = []
    while (!ending.signal.aborted) {
      accepted.push((await api.sendText(person, `${session.id} #${accepted.length}`)).whatsappId)
      await sleep(100)
    }
    return accepted
  }
  const sending = sessions.map((session) => sendAll(session))
  for (const each of sending) each.catch(() => ending.abort())
  await waitFor('traffic', async () => (await rig.sandbox.phone(person)).counts.distinctIds >= before.distinctIds + 8, 30_000)
  await change()
  ending.abort()
  const accepted = await Promise.all(sending)
  const total = before.distinctIds + accepted.flat().length
  await waitFor('all on the phone', async () => (await rig.sandbox.phone(person)).counts.distinctIds >= total, 60_000, 100)
  const shown = (await rig.sandbox.messages(person)).toSorted((a, b) => a.order - b.order).map(({ id }) => id)
  for (const ids of accepted) expect(shown.filter((id) => ids.includes(id))).toEqual(ids)
  expect((await rig.sandbox.phone(person)).counts.duplicates).toBe(before.duplicates)
}

/** Workers that hold sessions. */
async function holdersOfSome(): Promise<number> {
  const { workers } = await rig.fleet.admin.call<{ workers: { sessions: number }[] }>('GET', '/v1/fleet')
  return workers.filter(({ sessions: held }) => held > 0).length
}

test('reload, one worker after the other', async () => {
  const before = await rig.fleet.pids('session-worker')
  await sendDuring(async () => {
    await rig.fleet.pm2('reload', 'session-worker', '--parallel', '1', '--silent')
  })
  const after = await rig.fleet.pids('session-worker')
  expect(after).toHaveLength(before.length)
  expect(after.filter((pid) => before.includes(pid))).toEqual([])
}, 180_000)

test('scaled up to three and down to one', async () => {
  await sendDuring(async () => {
    await rig.fleet.pm2('scale', 'session-worker', '3', '--silent')
    await waitFor('three workers hold sessions', async () => (await holdersOfSome()) === 3, 60_000, 250)
    await rig.fleet.pm2('scale', 'session-worker', '1', '--silent')
  })
  expect(await rig.fleet.pids('session-worker')).toHaveLength(1)
}, 180_000)
