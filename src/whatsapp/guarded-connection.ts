// The connection itself, which has the last word: not one byte leaves once the lease is no longer trusted.
import { Agent as HttpAgent, type ClientRequestArgs } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { counter } from '../platform/metrics.ts'
import { openTunnel, ProxyFailed, type ProxyRoute } from './proxy-tunnel.ts'

const refusedFrames = counter('ujumbe_fenced_frames_total', 'Writes to WhatsApp refused because the lease was no longer trusted.')

interface GuardedConnectionDeps {
  url: string
  /** Asked in the same tick as each write. */
  mayWrite(): boolean
  /** Asked when the connection is opened; null: straight to the url. With a proxy that fails there is no connection. */
  proxy(): ProxyRoute | null
  /** The TCP connection stands; its own port tells it from others where connections pass through something that counts them. */
  onConnected(localPort: number): void
  /** A write was refused and the socket destroyed. */
  onRefused(): void
  /** Before the request that waits for the connection fails. */
  onProxyFailed(detail: string): void
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
  const destroyed = new AbortController()

  const kept = (socket: Socket): Socket => {
    if (destroyed.signal.aborted) socket.destroy()
    else destroyed.signal.addEventListener('abort', () => socket.destroy(), { once: true })
    return socket
  }
  const openDirectly = (host: string, port: number): Socket => {
    // Named one by one: `path` is a URL's path to http and a unix socket to net.
    const socket = isSecure ? connectTls({ host, port, ...tlsOptions(host) }) : connectTcp({ host, port })
    guardWrites(socket, deps)
    socket.once('connect', () => deps.onConnected(socket.localPort ?? 0))
    return kept(socket)
  }
  const openThrough = async (route: ProxyRoute, host: string, port: number): Promise<Socket> => {
    if (!deps.mayWrite()) throw refuse(deps)
    const tunnel = kept(await openTunnel(route, { host, port }, destroyed.signal))
    deps.onConnected(tunnel.localPort ?? 0)
    const socket = isSecure ? kept(connectTls({ socket: tunnel, ...tlsOptions(host) })) : tunnel
    guardWrites(socket, deps)
    return socket
  }
  const answer = async (opening: Promise<Socket>, callback: OnSocket): Promise<void> => {
    let socket: Socket
    try {
      socket = await opening
    } catch (error) {
      if (error instanceof ProxyFailed) deps.onProxyFailed(error.message)
      callback(error as Error)
      return
    }
    callback(null, socket)
    // It was paused between the proxy's answer and the server's.
    setImmediate(() => socket.resume())
  }
  const open = (options: ClientRequestArgs, callback: OnSocket): Socket | undefined => {
    const host = options.host ?? '127.0.0.1'
    const port = Number(options.port)
    const route = deps.proxy()
    if (!route) return openDirectly(host, port)
    void answer(openThrough(route, host, port), callback)
    return undefined
  }
  const agent = isSecure ? new HttpsAgent() : new HttpAgent()
  agent.createConnection = open as typeof agent.createConnection
  return {
    agent: agent as HttpsAgent,
    destroy: () => destroyed.abort(),
  }
}

type OnSocket = (error: Error | null, socket?: Socket) => void

function tlsOptions(host: string): { rejectUnauthorized: true; servername?: string } {
  return { rejectUnauthorized: true, ...(isIP(host) ? {} : { servername: host }) }
}

/** The callback gets an error, so that a send that waits for its bytes fails at once instead of never. */
function guardWrites(socket: Socket, deps: GuardedConnectionDeps): void {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
  socket.write = (...args: unknown[]): boolean => {
    if (deps.mayWrite()) return write(...args)
    const refusal = refuse(deps)
    socket.destroy(refusal)
    const callback = args.findLast((arg) => typeof arg === 'function') as ((error: Error) => void) | undefined
    if (callback) queueMicrotask(() => callback(refusal))
    return false
  }
}

function refuse(deps: GuardedConnectionDeps): Error {
  refusedFrames.inc()
  deps.onRefused()
  return new Error('The lease is no longer trusted; nothing was written.')
}
