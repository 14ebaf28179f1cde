// A webhook receiver that answers as the test tells it.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface FlakyReceiver {
  url: string
  answerWith(status: number): void
  received(): { id: string; status: number }[]
  close(): Promise<void>
}

export async function startFlakyReceiver(): Promise<FlakyReceiver> {
  let status = 204
  const received: { id: string; status: number }[] = []
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      received.push({ id: String(request.headers['webhook-id']), status })
      response.writeHead(status).end(status === 204 ? undefined : 'the receiver is out of order')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    answerWith: (next) => void (status = next),
    received: () => received,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
