// A TCP proxy between client and sandbox that can put garbage into what the server says.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { randomBytes } from 'node:crypto'

export interface TamperingProxy {
  /** The sandbox's address with the proxy's port. */
  url: string
  /** Sends one WebSocket message of random bytes, framed as the protocol asks, to every client. */
  injectGarbage(): void
  /** Connections so far. */
  readonly connectionCount: number
  close(): Promise<void>
}

export async function startTamperingProxy(targetUrl: string): Promise<TamperingProxy> {
  const target = new URL(targetUrl)
  const clients = new Set<Socket>()
  let connectionCount = 0
  const server = createServer((client) => {
    connectionCount += 1
    clients.add(client)
    const upstream = connect(Number(target.port), target.hostname)
    client.pipe(upstream)
    upstream.pipe(client)
    const end = () => {
      clients.delete(client)
      client.destroy()
      upstream.destroy()
    }
    for (const side of [client, upstream]) side.on('close', end).on('error', end)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `ws://127.0.0.1:${port}${target.pathname}`,
    injectGarbage() {
      const payload = Buffer.concat([Buffer.from([0, 0, 40]), randomBytes(40)])
      const frame = Buffer.concat([Buffer.from([0x82, payload.length]), payload])
      for (const client of clients) client.write(frame)
    },
    get connectionCount() {
      return connectionCount
    },
    async close() {
      for (const client of clients) client.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
