// A paced session on a real Redis and a real store, for tests: clients that remember times, recipients by number, people who write.
import { pino } from 'pino'
import { storeInbound } from '../../src/messages/store-inbound.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'
import { acked, ScriptedClient, type SendScript } from './scripted-client.ts'
import type { SendRig } from './send-rig.ts'

export const ids = (messages: readonly { whatsappId: string }[]): string[] => messages.map(({ whatsappId }) => whatsappId)

/** A phone number of the test's own. */
const number = (n: number) => `+2547000${String(n).padStart(5, '0')}`

/** A client that remembers when each frame came, on the monotonic clock. */
export function timed(script: SendScript = acked): { client: ScriptedClient; times: number[] } {
  const times: number[] = []
  const client = new ScriptedClient((message, tryNumber) => {
    times.push(performance.now())
    return script(message, tryNumber)
  })
  return { client, times }
}

/** One message to each of these. */
export async function acceptTo(
  rig: SendRig,
  recipients: readonly number[],
  more: Parameters<SendRig['accept']>[1] = {},
): Promise<MessageRecord[]> {
  const messages: MessageRecord[] = []
  for (const [i, n] of recipients.entries()) messages.push(await rig.accept(`${i} to ${n}`, { ...more, to: number(n) }))
  return messages
}

export async function stored(rig: SendRig, { id }: { id: string }): Promise<MessageRecord> {
  const message = await rig.store.messages.get(rig.sessionId, id)
  if (!message) throw new Error('the message is gone')
  return message
}

export async function hearFrom(rig: SendRig, n: number): Promise<void> {
  const phoneNumber = number(n).slice(1)
  const { messages } = rig.store
  const ending = new AbortController().signal
  await storeInbound({ messages, announce: rig.announce, ending, log: pino({ level: 'silent' }) }, rig.sessionId, {
    whatsappId: `IN${n}-${Math.random()}`,
    chat: `${phoneNumber}@s.whatsapp.net`,
    participant: null,
    fromPhoneNumber: phoneNumber,
    fromLid: null,
    groupId: null,
    pushName: null,
    type: 'text',
    content: { text: { body: 'Habari' } },
    at: Date.now(),
  })
}
