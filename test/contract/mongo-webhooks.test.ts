// Webhooks over a MongoDB that stands still for a while: nothing is lost, and what was answered is not sent again.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { setTimeout as sleep } from 'node:timers/promises'
import { startOwnMongo, type OwnServer } from '../support/mongo-server.ts'
import { openTestMongo } from '../support/mongo-store.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { waitFor } from '../support/wait.ts'
import { draft, startWebhookBench, type WebhookBench } from '../support/webhooks.ts'

const hasServer = process.env['UJUMBE_TEST_MONGODB'] !== undefined && process.env['MONGODB_TEST_URL'] === undefined
const drafts = (count: number, from = 0) => Array.from({ length: count }, (_, n) => draft(from + n))

describe.skipIf(!hasServer)('webhooks', () => {
  let server: OwnServer
  let bench: WebhookBench
  let receiver: Receiver
  let endpointId: string
  beforeEach(async () => {
    const started = await startOwnMongo()
    if (typeof started === 'string') throw new Error(started)
    server = started
    receiver = await startReceiver()
    bench = await startWebhookBench({
      openStore: () => openTestMongo(server.url),
      settings: { answerTimeoutMs: 15_000 },
    })
    endpointId = (await bench.endpoint(receiver)).id
    await bench.startRetryTick()
  })
  afterEach(async () => {
    server.resume()
    await bench.close()
    await receiver.close()
    await server.stop()
  })

  test('a store that stands still while requests are under way gets their outcomes later, and nothing is sent twice', async () => {
    let answer: (() => void) | undefined
    const answered = new Promise<void>((resolve) => (answer = resolve))
    receiver.answerWith(() => ({ status: 200, after: answered }))
    const ids = await bench.publish(drafts(8))
    await waitFor('requests are under way', () => receiver.load.open === 8)
    // Events that nobody has announced, and jobs whose deliveries cannot be read meanwhile.
    ids.push(...(await bench.publish(drafts(4, 8), false)))
    const late = await bench.publish(drafts(10, 12), false)
    ids.push(...late)
    server.pause()
    answer?.()
    await waitFor('all have been answered', () => receiver.load.open === 0)
    for (const id of late) await bench.deliveryQueue.add(id, { endpointId, attempt: 0 })
    await sleep(4_000) // The length is the point: a job's lock lives so long, and a statement may take longer.
    server.resume()
    await waitFor(
      'all are recorded',
      async () => (await bench.store.deliveries.countByStatus()).succeeded === ids.length,
      60_000,
      200,
    )
    expect(receiver.delivered.size).toBe(ids.length)
    expect(receiver.received).toHaveLength(ids.length)
    expect(receiver.received.every(({ isVerified }) => isVerified)).toBe(true)
  })
})
