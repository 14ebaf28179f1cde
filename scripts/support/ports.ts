// Finding ports that nobody listens on.
import { createServer } from 'node:net'

/** The preferred port, or the next free one above it. */
export async function freePort(preferred: number, host = '127.0.0.1'): Promise<number> {
  for (let port = preferred; port < preferred + 200; port += 1) {
    if (await isFree(port, host)) return port
  }
  throw new Error(`No free port between ${preferred} and ${preferred + 200}.`)
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)))
  })
}
