// The same messages through the product and through bare Baileys: how long until WhatsApp has acknowledged all, and what it cost.
import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '../../../test/support/wait.ts'
import type { TestSandbox } from '../../../test/support/sandbox.ts'
import type { BareFleet } from './bare-fleet.ts'
import { drive } from './drive.ts'
import { cpuMs } from './process-cost.ts'
import type { ProductFleet } from './product-fleet.ts'
import { recipientsOf } from './provision.ts'

export interface Traffic {
  messages: number
  /** Until the last acknowledgement. */
  seconds: number
  /** Of all processes of that side, the sandbox not counted, until they are quiet again. */
  cpuMs: number
}

/** Whether everything that follows from so many messages has happened. */
export type IsDone = (messages: number) => boolean

export const noTraffic: Traffic = { messages: 0, seconds: 0, cpuMs: 0 }

const ackedMs = 90_000
const concurrency = 48
const quietSampleMs = 250
/** A fleet that has nothing to do uses less than this part of a core. */
const quietPart = 0.1
const quietSamples = 40

/** Every session writes so often; accepted over REST, one request each. */
export async function sendThroughProduct(
  fleet: ProductFleet,
  sandbox: TestSandbox,
  people: readonly string[],
  perSession: number,
  isDone: IsDone = () => true,
): Promise<Traffic> {
  const { sessionIds } = fleet
  const messages = sessionIds.length * perSession
  const send = async () => {
    await drive({
      origin: fleet.apiUrl,
      headers: { authorization: `Bearer ${fleet.adminKey}` },
      count: messages,
      concurrency,
      request: (index) => {
        const place = index % sessionIds.length
        const n = Math.floor(index / sessionIds.length)
        const recipients = recipientsOf(people, place)
        return {
          path: `/v1/sessions/${sessionIds[place]}/messages`,
          body: { to: recipients[n % recipients.length], type: 'text', text: { body: `Message ${n} of ${place}` } },
        }
      },
    })
  }
  return measure(fleet.pids(), sandbox, messages, send, isDone)
}

export async function sendBare(bare: BareFleet, sessions: number, perSession: number): Promise<Traffic> {
  return measure(bare.pids, bare.sandbox, sessions * perSession, () => bare.send(perSession))
}

/** @throws Error when a phone got something twice, out of order or unreadable, or not everything was acknowledged */
async function measure(
  pids: number[],
  sandbox: TestSandbox,
  messages: number,
  send: () => Promise<void>,
  isDone: IsDone = () => true,
): Promise<Traffic> {
  const { acks } = await sandbox.client.stats()
  const before = cpuMs(pids)
  const startedAt = performance.now()
  await send()
  await waitFor(`${messages} acks`, async () => (await sandbox.client.stats()).acks >= acks + messages, ackedMs, 20)
  const seconds = (performance.now() - startedAt) / 1_000
  await waitFor('everything that follows', () => isDone(messages), ackedMs)
  await untilQuiet(pids)
  const { duplicates, orderViolations, decryptFailures } = await sandbox.client.stats()
  if (duplicates + orderViolations + decryptFailures > 0)
    throw new Error(`the phones saw ${duplicates} duplicates, ${orderViolations} out of order, ${decryptFailures} unreadable`)
  return { messages, seconds, cpuMs: cpuMs(pids) - before }
}

/** Receipts, events and webhooks come after the last ack. */
async function untilQuiet(pids: number[]): Promise<void> {
  let last = cpuMs(pids)
  for (let sample = 0; sample < quietSamples; sample += 1) {
    await delay(quietSampleMs)
    const now = cpuMs(pids)
    if (now - last < quietSampleMs * quietPart) return
    last = now
  }
}

export function added(a: Traffic, b: Traffic): Traffic {
  return { messages: a.messages + b.messages, seconds: a.seconds + b.seconds, cpuMs: a.cpuMs + b.cpuMs }
}
