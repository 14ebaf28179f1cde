// A session that WhatsApp restricts (463): it stays connected, says so, writes to nobody new, and goes on answering those who wrote.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pairSessions } from '../support/holders.ts'
import { waitFor } from '../support/wait.ts'
import { startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'

const friend = '254711000001'
const stranger = '254711000002'
let rig: WorkerRig
beforeAll(async () => {
  rig = await startWorkerRig()
  await rig.startWorker()
  for (const phoneNumber of [friend, stranger]) await rig.sandbox.client.addPhone({ phoneNumber })
})
afterAll(() => rig.close())

test('463 changes neither status nor credentials; the restriction is kept, told, and ends by itself', async () => {
  const [id = ''] = await pairSessions(rig, 1)
  const { phoneNumber } = await rig.session(id)
  const { id: greeting } = await rig.sandbox.client.sendFrom(friend, { to: phoneNumber ?? '', text: 'hello' })
  await waitFor('the greeting', () => rig.store.messages.findByWhatsappId(id, greeting))
  const until = Date.now() + 12_000
  await rig.sandbox.client.fault({ kind: 'restrict', until, sessions: [phoneNumber ?? ''] })

  const cold = await rig.send(id, stranger, 'you do not know me')
  const failed = async () => (await rig.store.messages.get(id, cold.id))?.status === 'failed'
  await waitFor('the refusal', failed)
  expect((await rig.store.messages.get(id, cold.id))?.error?.code).toBe('reach_out_restricted')
  const session = await waitFor('the restriction', async () => {
    const record = await rig.session(id)
    return record.restriction && record
  })
  expect(session).toMatchObject({ status: 'connected', statusReason: null, claimable: true })
  const told = () => rig.store.events.list({ sessionId: id, types: ['session.restricted'], limit: 10 })

  const later = await rig.send(id, stranger, 'and still not')
  const reply = await rig.send(id, friend, 'welcome')
  await waitFor('the reply', async () => (await rig.store.messages.get(id, reply.id))?.status === 'delivered')
  await waitFor(
    'the other when the restriction is over',
    async () => {
      return (await rig.store.messages.get(id, later.id))?.status === 'delivered'
    },
    60_000,
  )
  const shown = (await rig.sandbox.client.messages(stranger)).map(({ text }) => text)
  expect(shown).toEqual(['and still not'])
  // WhatsApp was asked more than once about it.
  expect(await told()).toHaveLength(1)
}, 120_000)
