// The demo's traffic: every message goes through the REST API with an Idempotency-Key, and some requests are sent twice.
import type { ApiClient, MessageResource } from '../support/api-client.ts'
import type { DemoSession } from './pair.ts'

export interface Plan {
  session: DemoSession
  to: string
  text: string
  key: string
}

/** Evenly over sessions and phones; `#n` numbers the messages of one session to one phone, so that a phone can see disorder. */
export function planMessages(sessions: DemoSession[], phones: string[], total: number): Plan[] {
  const counters = new Map<string, number>()
  return Array.from({ length: total }, (_, index) => {
    const session = sessions[index % sessions.length]
    const to = phones[Math.floor(index / sessions.length) % phones.length]
    if (!session || !to) throw new Error('The demo needs sessions and phones.')
    const n = (counters.get(`${session.id} ${to}`) ?? 0) + 1
    counters.set(`${session.id} ${to}`, n)
    return {
      session,
      to,
      text: `Reminder from ${session.displayName}: your appointment is tomorrow at 10:00. #${n}`,
      key: `demo-${index}`,
    }
  })
}

export interface Accepted {
  plan: Plan
  message: MessageResource
}

/** In order per session. Every tenth request is repeated with its key, as a client does that lost the answer; it must get the same message. */
export async function sendAll(
  api: ApiClient,
  plans: Plan[],
  onAccepted: (count: number) => void,
): Promise<{ accepted: Accepted[]; replays: number }> {
  const accepted: Accepted[] = []
  let replays = 0
  const bySession = Map.groupBy(plans, (plan) => plan.session.id)
  await Promise.all(
    [...bySession.values()].map(async (own) => {
      for (const [index, plan] of own.entries()) {
        const client = api.withKey(plan.session.apiKey)
        const message = await client.sendText(plan.to, plan.text, { idempotencyKey: plan.key })
        accepted.push({ plan, message })
        if (index % 10 === 0) {
          const again = await client.sendText(plan.to, plan.text, { idempotencyKey: plan.key })
          if (again.id !== message.id) throw new Error(`The repeated request ${plan.key} made a second message.`)
          replays += 1
        }
        onAccepted(accepted.length)
      }
    }),
  )
  return { accepted, replays }
}
