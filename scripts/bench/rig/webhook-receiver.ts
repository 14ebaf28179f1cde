// A receiver that says yes and notes when each event arrived; and one that takes connections and never answers.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface WebhookReceiver {
  url: string
  received(): number
  /** Milliseconds from the event's own time to its arrival, of those since the last call. */
  takeDelays(): number[]
  close(): Promise<void>
}

export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  let delays: number[] = []
  let count = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { timestamp } = JSON.parse(Buffer.concat(chunks).toString()) as { timestamp: string }
      // Finer than the event's own time: with whole milliseconds on both ends a quantile of three or four would jump by a third.
      delays.push(performance.timeOrigin + performance.now() - Date.parse(timestamp))
      count += 1
      response.writeHead(204).end()
    })
  })
  const url = await listen(server)
  return {
    url,
    received: () => count,
    takeDelays: () => {
      const taken = delays
      delays = []
      return taken
    },
    close: () => close(server),
  }
}

export async function startDeadReceiver(): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request) => request.resume())
  return { url: await listen(server), close: () => close(server) }
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhooks`
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}
