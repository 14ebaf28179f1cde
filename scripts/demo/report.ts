// What the demo counted, held against what it must be: every fault is a sentence.
import type { SandboxClient } from '../support/sandbox-client.ts'
import type { Accepted } from './traffic.ts'
import type { Receiver } from './receiver.ts'

export interface Summary {
  accepted: number
  replays: number
  sent: number
  delivered: number
  read: number
  onPhones: number
  duplicates: number
  orderViolations: number
  decryptFailures: number
  replies: number
  repliesExpected: number
  webhooks: { deliveries: number; events: number; invalidSignatures: number; expectedEvents: number }
  durationSeconds: number
  ok: boolean
  faults: string[]
}

/** The ids of messages for which an event of this type has come, signature checked. */
export function told(receiver: Receiver, type: string): Set<string> {
  const ids = [...receiver.events.values()].filter((event) => event.type === type).map((event) => event.data.message?.id ?? '')
  return new Set(ids)
}

export async function summarise(input: {
  accepted: Accepted[]
  replays: number
  phones: string[]
  repliesExpected: number
  receiver: Receiver
  sandbox: SandboxClient
  durationSeconds: number
}): Promise<Summary> {
  const { accepted, receiver } = input
  const shown = (await Promise.all(input.phones.map((phone) => input.sandbox.messages(phone)))).flat()
  const arrived = new Map(shown.map((message) => [message.id, message]))
  const mine = accepted.map((entry) => arrived.get(entry.message.whatsappId)).filter((message) => message !== undefined)
  const stats = await input.sandbox.stats()
  const counted = (type: string) => accepted.filter((entry) => told(receiver, type).has(entry.message.id)).length
  const replies = told(receiver, 'message.received').size
  const summary: Summary = {
    accepted: accepted.length,
    replays: input.replays,
    sent: counted('message.sent'),
    delivered: counted('message.delivered'),
    read: counted('message.read'),
    onPhones: mine.length,
    duplicates: mine.reduce((sum, message) => sum + message.duplicatesSeen, 0),
    orderViolations: stats.orderViolations + countDisorder(accepted, arrived),
    decryptFailures: stats.decryptFailures,
    replies,
    repliesExpected: input.repliesExpected,
    webhooks: {
      deliveries: receiver.deliveries,
      events: receiver.events.size,
      invalidSignatures: receiver.invalidSignatures,
      expectedEvents: accepted.length * 5 + input.repliesExpected,
    },
    durationSeconds: input.durationSeconds,
    ok: false,
    faults: [],
  }
  summary.faults = faultsOf(summary)
  summary.ok = summary.faults.length === 0
  return summary
}

/** Messages that a phone got after a later one of the same session. */
function countDisorder(accepted: Accepted[], arrived: Map<string, { order: number }>): number {
  const lastOrder = new Map<string, number>()
  let disorder = 0
  for (const { plan, message } of accepted) {
    const lane = `${plan.session.id} ${plan.to}`
    const order = arrived.get(message.whatsappId)?.order
    if (order === undefined) continue
    if (order < (lastOrder.get(lane) ?? -1)) disorder += 1
    lastOrder.set(lane, order)
  }
  return disorder
}

function faultsOf(summary: Summary): string[] {
  const equal = (what: string, value: number, wanted: number) =>
    value === wanted ? [] : [`${what}: ${value} instead of ${wanted}`]
  return [
    ...equal('messages on phones', summary.onPhones, summary.accepted),
    ...equal('messages told as sent', summary.sent, summary.accepted),
    ...equal('messages told as delivered', summary.delivered, summary.accepted),
    ...equal('messages told as read', summary.read, summary.accepted),
    ...equal('replies received', summary.replies, summary.repliesExpected),
    ...equal('duplicates', summary.duplicates, 0),
    ...equal('order violations', summary.orderViolations, 0),
    ...equal('invalid signatures', summary.webhooks.invalidSignatures, 0),
  ]
}

export function table(summary: Summary): string {
  const rows: [string, string][] = [
    [
      'accepted by the API',
      `${summary.accepted} (and ${summary.replays} repeated requests, each answered with the same message)`,
    ],
    ['acknowledged by the server', String(summary.sent)],
    ['shown on phones', String(summary.onPhones)],
    ['delivered · read', `${summary.delivered} · ${summary.read}`],
    ['replies received', `${summary.replies} of ${summary.repliesExpected}`],
    [
      'webhooks',
      `${summary.webhooks.events} events in ${summary.webhooks.deliveries} deliveries, ${summary.webhooks.invalidSignatures} with a wrong signature`,
    ],
    ['duplicates on phones', String(summary.duplicates)],
    ['order violations', String(summary.orderViolations)],
    ['time', `${summary.durationSeconds.toFixed(1)} s`],
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `  ${name.padEnd(width)}   ${value}`).join('\n')
}
