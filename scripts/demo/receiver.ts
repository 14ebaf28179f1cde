// The demo's webhook receiver: checks every signature with the public Standard Webhooks library and counts what came.
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Webhook } from 'standardwebhooks'

export interface ReceivedEvent {
  id: string
  type: string
  sessionId: string
  sequence: number
  data: { message?: { id: string; status: string; direction: string; text?: { body: string } } }
}

export interface Receiver {
  port: number
  url: string
  /** Distinct events with a genuine signature, by event id. */
  events: Map<string, ReceivedEvent>
  deliveries: number
  invalidSignatures: number
  /** An endpoint's secret; known only after its session was made. */
  trust(secret: string): void
  close(): Promise<void>
}

/** The first events may be faster than the answer that holds their secret: until `endpoints` secrets are known, requests wait (10 s at most). */
export async function startReceiver(endpoints: number): Promise<Receiver> {
  const verifiers: Webhook[] = []
  const allKnown = Promise.withResolvers<void>()
  const answer = async (request: IncomingMessage): Promise<number> => {
    const body = await readBody(request)
    await Promise.race([allKnown.promise, sleep(10_000, undefined, { ref: false })])
    receiver.deliveries += 1
    const event = verify(verifiers, body, request)
    if (!event) {
      receiver.invalidSignatures += 1
      return 401
    }
    receiver.events.set(event.id, event)
    return 204
  }
  const server = createServer((request, response) => {
    void answer(request)
      .catch(() => 400)
      .then((status) => response.writeHead(status).end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const receiver: Receiver = {
    port,
    url: `http://127.0.0.1:${port}/webhooks`,
    events: new Map(),
    deliveries: 0,
    invalidSignatures: 0,
    trust: (secret) => {
      verifiers.push(new Webhook(secret))
      if (verifiers.length >= endpoints) allKnown.resolve()
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return receiver
}

function verify(verifiers: Webhook[], body: string, request: IncomingMessage): ReceivedEvent | undefined {
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
  for (const verifier of verifiers) {
    try {
      return verifier.verify(body, headers) as ReceivedEvent
    } catch {
      // signed for the other session's endpoint, or forged: the next one decides
    }
  }
  return undefined
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
