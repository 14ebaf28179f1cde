// Small proxies of a test's own, CONNECT (plain or under TLS) and SOCKS5 with user and password, that can be killed, hang, and come back on their port.
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { selfSigned } from './self-signed.ts'

export interface TestProxy {
  port: number
  /** With `user` and `password` unless others are given. */
  url(credentials?: string): string
  /** How often it was asked for a tunnel in plain words, whatever it answered. */
  readonly requestCount: number
  /** Tunnels so far. */
  readonly tunnelCount: number
  /** What the last client wanted to reach. */
  readonly lastTarget: string
  /** Every connection through it ends, and nothing listens any more. */
  kill(): Promise<void>
  /** Listens again on the same port. */
  revive(): Promise<void>
  /** Takes connections and says nothing. */
  hang(on: boolean): void
  close(): Promise<void>
}

interface Inside {
  isHanging: boolean
  requestCount: number
  tunnelCount: number
  lastTarget: string
  tunnel(client: Socket, host: string, port: number, standing: () => void): void
}

const user = 'kiosk'
const password = 'mango-7'

export type ProxyKind = 'http' | 'https' | 'socks5' | 'socks5h'

export async function startTestProxy(kind: ProxyKind): Promise<TestProxy> {
  const sockets = new Set<Socket>()
  const track = (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
  }
  const inside: Inside = {
    isHanging: false,
    requestCount: 0,
    tunnelCount: 0,
    lastTarget: '',
    tunnel(client, host, port, standing) {
      inside.lastTarget = `${host}:${port}`
      const upstream = connect(port, host, () => {
        inside.tunnelCount += 1
        standing()
        client.pipe(upstream)
        upstream.pipe(client)
      })
      track(upstream)
      upstream.on('close', () => client.destroy())
      client.on('close', () => upstream.destroy())
    },
  }
  const server = kind.startsWith('http') ? connectProxy(inside, kind === 'https') : socksProxy(inside)
  server.on('connection', track)
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  await listen(0)
  const { port } = server.address() as AddressInfo
  const kill = async () => {
    if (!server.listening) return
    server.close()
    for (const socket of sockets) socket.destroy()
    await once(server, 'close')
  }
  return {
    port,
    url: (credentials = `${user}:${password}`) => `${kind}://${credentials === '' ? '' : `${credentials}@`}127.0.0.1:${port}`,
    get requestCount() {
      return inside.requestCount
    },
    get tunnelCount() {
      return inside.tunnelCount
    },
    get lastTarget() {
      return inside.lastTarget
    },
    kill,
    revive: () => listen(port),
    hang: (on) => (inside.isHanging = on),
    close: kill,
  }
}

function connectProxy(inside: Inside, isSecure: boolean): Server {
  const server = isSecure ? createHttpsServer(selfSigned) : createHttpServer()
  const expected = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  server.on('connect', (request, client: Socket) => {
    inside.requestCount += 1
    if (inside.isHanging) return
    if (request.headers['proxy-authorization'] !== expected) {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n')
      return
    }
    const target = new URL(`tcp://${request.url ?? ''}`)
    inside.tunnel(client, target.hostname, Number(target.port), () => client.write('HTTP/1.1 200 OK\r\n\r\n'))
  })
  return server
}

/** RFC 1928 and 1929; each of the client's three messages comes in one piece on loopback. */
function socksProxy(inside: Inside): Server {
  return createServer((client) => {
    void serveSocks(inside, client).catch(() => client.destroy())
  })
}

async function serveSocks(inside: Inside, client: Socket): Promise<void> {
  const next = async () => ((await once(client, 'data')) as [Buffer])[0]
  const greeting = await next()
  inside.requestCount += 1
  if (inside.isHanging) return
  if (!greeting.subarray(2).includes(2)) {
    client.end(Buffer.from([5, 0xff]))
    return
  }
  client.write(Buffer.from([5, 2]))
  const login = await next()
  const nameLength = login[1] ?? 0
  const isKnown = login.subarray(2, 2 + nameLength).toString() === user && login.subarray(3 + nameLength).toString() === password
  client.write(Buffer.from([1, isKnown ? 0 : 1]))
  if (!isKnown) {
    client.end()
    return
  }
  const wanted = await next()
  const length = wanted[4] ?? 0
  const host = wanted[3] === 1 ? wanted.subarray(4, 8).join('.') : wanted.subarray(5, 5 + length).toString()
  inside.tunnel(client, host, wanted.readUInt16BE(wanted.length - 2), () =>
    client.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0])),
  )
}
