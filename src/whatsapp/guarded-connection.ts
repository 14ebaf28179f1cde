// The connection itself, which has the last word: not one byte leaves once the lease is no longer trusted.
import { Agent as HttpAgent, type ClientRequestArgs } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { counter } from '../platform/metrics.ts'

const refusedFrames = counter('ujumbe_fenced_frames_total', 'Writes to WhatsApp refused because the lease was no longer trusted.')

interface GuardedConnectionDeps {
  url: string
  /** Asked in the same tick as each write. */
  mayWrite(): boolean
  /** The TCP connection stands; its own port tells it from others where connections pass through something that counts them. */
  onConnected(localPort: number): void
  /** A write was refused and the socket destroyed. */
  onRefused(): void
}

export interface GuardedConnection {
  /** For Baileys' `agent` option. It captures the socket's `send` when it is made, so nothing above the socket can stop a frame. */
  readonly agent: HttpsAgent
  /** Ends the connection without a closing handshake, which a dead peer would never answer. */
  destroy(): void
}

/** One connection; `ws:` or `wss:` by the url. Certificates are checked by Node's own rules, always: TLS is the only proof of who the server is. */
export function createGuardedConnection(deps: GuardedConnectionDeps): GuardedConnection {
  const isSecure = new URL(deps.url).protocol === 'wss:'
  let socket: Socket | undefined
  let isDestroyed = false

  const open = (options: ClientRequestArgs): Socket => {
    const host = options.host ?? '127.0.0.1'
    const port = Number(options.port)
    // Named one by one: `path` is a URL's path to http and a unix socket to net.
    socket = isSecure
      ? connectTls({ host, port, rejectUnauthorized: true, ...(isIP(host) ? {} : { servername: host }) })
      : connectTcp({ host, port })
    guardWrites(socket, deps)
    const opened = socket
    opened.once('connect', () => deps.onConnected(opened.localPort ?? 0))
    if (isDestroyed) socket.destroy()
    return socket
  }
  const agent = isSecure ? new HttpsAgent() : new HttpAgent()
  agent.createConnection = open
  return {
    agent: agent as HttpsAgent,
    destroy() {
      isDestroyed = true
      socket?.destroy()
    },
  }
}

/** The callback gets an error, so that a send that waits for its bytes fails at once instead of never. */
function guardWrites(socket: Socket, deps: GuardedConnectionDeps): void {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
  socket.write = (...args: unknown[]): boolean => {
    if (deps.mayWrite()) return write(...args)
    const refusal = new Error('The lease is no longer trusted; nothing was written.')
    socket.destroy(refusal)
    const callback = args.findLast((arg) => typeof arg === 'function') as ((error: Error) => void) | undefined
    if (callback) queueMicrotask(() => callback(refusal))
    refusedFrames.inc()
    deps.onRefused()
    return false
  }
}
