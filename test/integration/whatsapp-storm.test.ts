// Traffic both ways while the connection breaks in every way it can: nothing lost, doubled, reordered or unreadable.
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSessionCaches } from '../../src/whatsapp/session-caches.ts'
import type { OutgoingMessage } from '../../src/whatsapp/whatsapp-client.ts'
import { startTestSandbox, type TestSandbox } from '../support/sandbox.ts'
import { startTamperingProxy, type TamperingProxy } from '../support/tampering-proxy.ts'
import { waitFor } from '../support/wait.ts'
import { WhatsAppSession } from '../support/whatsapp-session.ts'

const business = '254740000001'
const friends = ['254740000002', '254740000003', '254740000004']
const outboundCount = 120
const inboundCount = 60

let sandbox: TestSandbox
let proxy: TamperingProxy
let session: WhatsAppSession
const rejections: unknown[] = []
const onRejection = (reason: unknown) => rejections.push(reason)
beforeAll(async () => {
  process.on('unhandledRejection', onRejection)
  sandbox = await startTestSandbox()
  proxy = await startTamperingProxy(sandbox.url)
  for (const phoneNumber of [business, ...friends]) await sandbox.client.addPhone({ phoneNumber, autoRead: true })
  session = new WhatsAppSession(proxy.url)
  await session.pair(sandbox, business)
})
afterAll(async () => {
  await session.close()
  await proxy.close()
  await sandbox.close()
  process.off('unhandledRejection', onRejection)
})

const strikes = [
  () => proxy.injectGarbage(),
  () => void sandbox.client.fault({ kind: 'reset', sessions: [business] }),
  () => void sandbox.client.fault({ kind: 'close', sessions: [business] }),
  () => void (session.mayWrite = false),
  () => void (session.caches = createSessionCaches()),
]

async function untilOpen(): Promise<void> {
  for (let tries = 0; tries < 100 && !session.client?.isOpen; tries += 1) {
    await session.close()
    session.mayWrite = true
    session.log.length = 0
    session.connect()
    const isSettled = () => session.client?.isOpen || session.log.some((word) => word.startsWith('closed'))
    await waitFor('open or closed', isSettled, 20_000, 2)
  }
}

/** As the drain does: the same id on one socket after another until it is acked. */
async function sendUntilAcked(message: OutgoingMessage): Promise<void> {
  for (;;) {
    await untilOpen()
    const outcome = await session.client?.send(message, 3_000)
    if (outcome?.kind === 'acked') return
    if (outcome?.kind === 'rejected') throw new Error(outcome.detail)
    await session.close()
  }
}

test('messages both ways survive a storm of disconnects', { timeout: 120_000 }, async () => {
  const sent: string[] = []
  const written: string[] = []
  const writing = (async () => {
    for (let i = 0; i < inboundCount; i += 1) {
      const { id } = await sandbox.client.sendFrom(friends[i % 3] ?? '', { to: business, text: `#${i}` })
      written.push(id)
      await delay(Math.random() * 40)
    }
  })()
  for (let i = 0; i < outboundCount; i += 1) {
    // Struck somewhere between the check of the contact and the ack.
    if (i % 6 === 5) setTimeout(strikes[Math.floor(i / 6) % strikes.length] ?? strikes[0]!, Math.random() * 8)
    const message = session.message(friends[i % 3] ?? '', `#${i}`)
    await sendUntilAcked(message)
    sent.push(message.whatsappId)
  }
  await writing
  await untilOpen()

  await waitFor('all inbound', () => new Set(session.inbound.map(({ whatsappId }) => whatsappId)).size === inboundCount, 30_000)
  for (const [i, friend] of friends.entries()) {
    const expected = sent.filter((_, k) => k % 3 === i)
    const shown = async () => (await sandbox.client.messages(friend)).filter(({ fromMe }) => !fromMe).map(({ id }) => id)
    await waitFor('all shown', async () => (await shown()).length === expected.length, 30_000)
    expect(await shown()).toEqual(expected)
    const { counts } = await sandbox.client.phone(friend)
    expect(counts).toMatchObject({ orderViolations: 0, decryptFailures: 0 })
    const firstReports = new Set(session.inbound.filter((each) => each.fromPhoneNumber === friend).map((each) => each.whatsappId))
    expect([...firstReports]).toEqual(written.filter((_, k) => k % 3 === i))
  }
  expect(rejections).toEqual([])
  expect(session.closes.length).toBeGreaterThan(10)
})
