// The run's webhook receiver: checks every signature, keeps what it answered with 2xx, and fails or hangs when told to.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import type { ReceivedEvent } from './check/history.ts'

type Mood = 'well' | 'fails' | 'hangs'

export interface ChaosReceiver {
  url: string
  events: ReceivedEvent[]
  /** Requests whose signature was not genuine. */
  readonly forgedCount: number
  /** The endpoint's secret; until it is known every request is refused. */
  trust(secret: string): void
  behave(mood: Mood): void
  close(): Promise<void>
}

interface Body {
  id: string
  type: string
  sessionId: string
  sequence: number
  data: { message?: { id: string; status: string } }
}

export async function startChaosReceiver(): Promise<ChaosReceiver> {
  const events: ReceivedEvent[] = []
  const hanging = new Set<ServerResponse>()
  let verifier: Webhook | undefined
  let mood: Mood = 'well'
  let forgedCount = 0

  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    if (mood === 'hangs') {
      hanging.add(response)
      return
    }
    if (mood === 'fails' || !verifier) {
      response.writeHead(503).end()
      return
    }
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
    try {
      const body = verifier.verify(Buffer.concat(chunks).toString(), headers) as Body
      events.push(receivedEvent(headers['webhook-id'] ?? '', body))
      response.writeHead(204).end()
    } catch {
      forgedCount += 1
      response.writeHead(401).end()
    }
  }
  const server = createServer((request, response) => {
    take(request, response).catch(() => request.socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`,
    events,
    get forgedCount() {
      return forgedCount
    },
    trust: (secret) => {
      verifier = new Webhook(secret)
    },
    behave: (next) => {
      mood = next
      for (const response of hanging) response.destroy()
      hanging.clear()
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function receivedEvent(webhookId: string, { id, type, sessionId, sequence, data }: Body): ReceivedEvent {
  const { message } = data
  return { webhookId, eventId: id, sessionId, sequence, type, messageId: message?.id ?? null, status: message?.status ?? null }
}
