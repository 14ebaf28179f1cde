// A worker that only pairs, while WhatsApp cannot be reached: a QR code shows as well as a login that the network is back.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { waitFor } from '../support/wait.ts'
import { logged, startWorkerRig, type WorkerRig } from '../support/worker-rig.ts'

let rig: WorkerRig
beforeAll(async () => {
  rig = await startWorkerRig()
})
afterAll(async () => {
  if (process.env['SHOW_LOG']) console.log(rig.workers.map((worker) => worker.lines.join('\n')).join('\n'))
  await rig.close()
})

test('an outage ends with the first QR code', async () => {
  await rig.sandbox.client.fault({ kind: 'refuse_connections' })
  const ids: string[] = []
  for (let n = 0; n < 6; n++) ids.push(await rig.addSession())
  const worker = await rig.startWorker()
  await waitFor('the outage noticed', () => logged(worker, 'network.lost').length > 0)
  await rig.sandbox.client.clearFaults()
  const codes = async () => (await Promise.all(ids.map((id) => rig.live(id)))).every(({ qr }) => qr !== null)
  await waitFor('a code of each', codes, 30_000)
  expect(logged(worker, 'network.returned')).toHaveLength(1)
}, 60_000)
