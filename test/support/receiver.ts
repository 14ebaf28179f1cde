// A webhook receiver of the test's own: a real HTTP server that records and verifies what it gets and answers as told.
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'

export interface Received {
  at: number
  path: string
  headers: IncomingHttpHeaders
  /** The raw bytes as text. */
  body: string
  event: { id: string; type: string; timestamp: string; sessionId: string; sequence: number; data: Record<string, unknown> }
  /** The `standardwebhooks` package accepted the signature with at least one of the receiver's secrets. */
  isVerified: boolean
}

export type Answer =
  | { status: number; headers?: Record<string, string>; body?: string | Buffer; afterMs?: number; after?: Promise<unknown> }
  /** Reads the request and never answers. */
  | 'hang'
  /** Cuts the connection without an answer. */
  | 'cut'
  /** Sends the head of a 200 and never ends the body. */
  | 'stall'

export interface Receiver {
  readonly url: string
  readonly port: number
  readonly received: Received[]
  /** Secrets to verify with; push them as endpoints are made. */
  readonly secrets: string[]
  /** Requests that were answered with a 2xx, each webhook-id once. */
  readonly delivered: Map<string, Received>
  /** How many requests are open now, and the most there ever were. */
  readonly load: { open: number; most: number; connections: number }
  answerWith(answer: Answer | ((request: Received) => Answer)): void
  close(): Promise<void>
}

export async function startReceiver(options: { host?: string; port?: number } = {}): Promise<Receiver> {
  let answerOf: (request: Received) => Answer = () => ({ status: 204 })
  const received: Received[] = []
  const delivered = new Map<string, Received>()
  const secrets: string[] = []
  const load = { open: 0, most: 0, connections: 0 }

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks).toString()
    const record: Received = {
      at: Date.now(),
      path: request.url ?? '',
      headers: request.headers,
      body,
      event: JSON.parse(body) as Received['event'],
      isVerified: secrets.some((secret) => verifies(secret, body, request.headers)),
    }
    received.push(record)
    const answer = answerOf(record)
    if (answer === 'hang') return
    if (answer === 'cut') {
      request.socket.destroy()
      return
    }
    if (answer === 'stall') {
      response.writeHead(200).write('a beginning')
      return
    }
    if (answer.afterMs) await new Promise((resolve) => setTimeout(resolve, answer.afterMs))
    await answer.after
    if (answer.status >= 200 && answer.status < 300) delivered.set(String(request.headers['webhook-id']), record)
    response.writeHead(answer.status, answer.headers).end(answer.body)
  }
  const server = createServer((request, response) => {
    load.open += 1
    load.most = Math.max(load.most, load.open)
    response.once('close', () => (load.open -= 1))
    handle(request, response).catch(() => request.socket.destroy())
  })
  server.on('connection', () => (load.connections += 1))
  const host = options.host ?? '127.0.0.1'
  server.listen(options.port ?? 0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${host}:${port}/hook`,
    port,
    received,
    secrets,
    delivered,
    load,
    answerWith: (answer) => {
      answerOf = typeof answer === 'function' ? answer : () => answer
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function verifies(secret: string, body: string, headers: IncomingHttpHeaders): boolean {
  try {
    new Webhook(secret).verify(body, headers as Record<string, string>)
    return true
  } catch {
    return false
  }
}
