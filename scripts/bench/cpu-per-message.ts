// Figure: what one message costs all processes of the product together, warm, with 50 sessions; without and with a webhook endpoint.
import { startWebhookReceiver } from './rig/webhook-receiver.ts'
import { row, type Figure } from './rig/figure.ts'
import { sideBySide } from './rig/side-by-side.ts'
import type { Traffic } from './rig/traffic.ts'
import { createFleetEndpoint } from './rig/fleet-endpoint.ts'

const sessions = 50
const perSession = 15
const rounds = 2
/** Every process compiles what it runs during its first two thousand messages. */
const warmUp = 50
/** Queued, sending, sent, delivered. */
const eventsPerMessage = 4

export const cpuPerMessage: Figure = {
  name: 'cpu-per-message',
  title: `CPU of all processes per message, ${sessions} sessions, warm ÷ one bare Baileys process`,
  devices: sessions,
  async run({ provisioned, dir, say }) {
    return sideBySide({ provisioned, dir, workers: 1 }, async ({ product, connect, send }) => {
      await connect(sessions)
      await send(warmUp, 1)
      const quiet = await send(perSession, rounds)
      say(`${quiet.product.messages} messages by each`)
      const receiver = await startWebhookReceiver()
      try {
        await createFleetEndpoint(product, receiver.url)
        let before = receiver.received()
        const told = await send(perSession, rounds, (messages) => {
          if (receiver.received() < before + messages * eventsPerMessage) return false
          before = receiver.received()
          return true
        })
        say(`${receiver.received()} webhooks for ${told.product.messages} messages`)
        return [
          row('no webhook endpoint', 'ms', cost(quiet.product), cost(quiet.bare), null),
          row(`an endpoint for all events (${eventsPerMessage} per message)`, 'ms', cost(told.product), cost(told.bare), null),
        ]
      } finally {
        await receiver.close()
      }
    })
  },
}

const cost = ({ messages, cpuMs }: Traffic) => cpuMs / messages
