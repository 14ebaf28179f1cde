// The way to WhatsApp through a session's own proxy: CONNECT or SOCKS5, bounded in time, and never past it.
import { EventEmitter } from 'node:events'
import type { ClientRequest } from 'node:http'
import type { LookupFunction, Socket } from 'node:net'
import { HttpsProxyAgent } from 'https-proxy-agent'
import { SocksProxyAgent } from 'socks-proxy-agent'

export interface ProxyRoute {
  /** `http:`, `https:`, `socks5:` or `socks5h:`, with user and password. */
  readonly url: URL
  /** Asked for the host (without brackets) and the port of each connection. */
  mayConnect(host: string, port: number): boolean
  /** Fails for a name that leads where nothing may be reached. */
  readonly lookup: LookupFunction
}

/** The proxy is away, refuses, hangs, or may not be reached. The message holds nothing that the proxy or its URL says. */
export class ProxyFailed extends Error {}

/** From the proxy's name to its word that the other end is reached. */
const tunnelTimeoutMs = 10_000

/**
 * A connection to `target` that the proxy has made; what is written goes there as it is.
 * @throws ProxyFailed
 */
export async function openTunnel(
  route: ProxyRoute,
  target: { host: string; port: number },
  signal: AbortSignal,
): Promise<Socket> {
  const proxyHost = route.url.hostname.replace(/^\[|\]$/g, '')
  const isSocks = route.url.protocol.startsWith('socks')
  const proxyPort = Number(route.url.port) || (isSocks ? 1080 : route.url.protocol === 'https:' ? 443 : 80)
  if (!route.mayConnect(proxyHost, proxyPort)) throw new ProxyFailed('its address is in a private or reserved network')
  // Of its own: the socket to the proxy hangs on it, and must outlive the time limit.
  const giveUp = new AbortController()
  let isLate = false
  const onLate = setTimeout(() => {
    isLate = true
    giveUp.abort()
  }, tunnelTimeoutMs)
  const onAbort = () => giveUp.abort()
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) giveUp.abort()
  try {
    const socket = await (isSocks
      ? unlessAborted(connectBySocks(route, proxyHost, proxyPort, target), giveUp.signal)
      : connectByHttp(route, target, giveUp.signal))
    // Under TLS nobody else listens; the end is told by what lies above.
    socket.on('error', () => undefined)
    return socket
  } catch (error) {
    if (error instanceof ProxyFailed) throw error
    throw new ProxyFailed(isLate ? 'no answer in time' : whatHappened(error))
  } finally {
    clearTimeout(onLate)
    signal.removeEventListener('abort', onAbort)
  }
}

/** The credentials go by header: the library prints the URL that it is given when asked to debug. */
async function connectByHttp(
  { url, lookup }: ProxyRoute,
  target: { host: string; port: number },
  signal: AbortSignal,
): Promise<Socket> {
  const bare = new URL(url)
  bare.username = ''
  bare.password = ''
  const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  const headers = user === ':' ? {} : { 'Proxy-Authorization': `Basic ${Buffer.from(user).toString('base64')}` }
  const agent = new HttpsProxyAgent(bare, { headers, lookup, signal })
  const request = new EventEmitter()
  let status = 0
  request.once('proxyConnect', ({ statusCode }: { statusCode: number }) => (status = statusCode))
  const socket = await agent.connect(request as ClientRequest, { ...target, secureEndpoint: false })
  if (status === 200) return socket
  // What the library gives then is no connection but the answer, to be read as WhatsApp's.
  socket.destroy()
  throw new ProxyFailed(`the proxy answered ${Number.isInteger(status) ? status : 'no HTTP'}`)
}

async function connectBySocks(
  { url, lookup }: ProxyRoute,
  proxyHost: string,
  proxyPort: number,
  target: { host: string; port: number },
): Promise<Socket> {
  // The library keeps an error's message only.
  let notFound: unknown
  const noted: LookupFunction = (name, options, callback) =>
    lookup(name, options, (error, ...found) => {
      notFound = error
      callback(error, ...found)
    })
  const agent = new SocksProxyAgent(url, { timeout: tunnelTimeoutMs, socketOptions: { lookup: noted } })
  // The library leaves an IPv6 address in its brackets.
  agent.proxy.host = proxyHost
  agent.proxy.port = proxyPort
  const request = new EventEmitter() as ClientRequest
  const socket = await agent.connect(request, { ...target, secureEndpoint: false }).catch((error: unknown) => {
    throw notFound ?? error
  })
  // Its time limit would go on to end connections that are only quiet.
  socket.setTimeout(0)
  socket.removeAllListeners('timeout')
  return socket
}

/** The library's socket cannot be reached before it is connected, or its own time limit ends it: what comes too late is closed. */
async function unlessAborted(connecting: Promise<Socket>, signal: AbortSignal): Promise<Socket> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => {
    reject(signal.reason)
    connecting.then(
      (socket) => socket.on('error', () => undefined).destroy(),
      () => undefined,
    )
  }
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([connecting, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Codes and the SOCKS library's own sentences only: a proxy can make others say what it likes. */
function whatHappened(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown }
  if (typeof code === 'string') return code
  const [, errno, sentence] =
    /^connect (E[A-Z]+)\b|^((?:Received invalid )?(?:Socks5|Proxy connection) [\w ()-]{1,80})/i.exec(String(message)) ?? []
  return errno ?? sentence ?? 'it does not answer as a proxy'
}
