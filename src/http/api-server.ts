// The HTTP server: its limits, how several processes share a port, what it says to broken requests, and how it drains.
import { createServer, STATUS_CODES, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { AppError, type ErrorCode } from '../platform/errors.ts'
import { newId } from '../platform/id.ts'
import { problemOf, sendProblem } from './problem.ts'

const limits = {
  maxHeaderSize: 16_384,
  /** A request that has not arrived whole by then is refused. */
  requestTimeout: 30_000,
  headersTimeout: 15_000,
  connectionsCheckingInterval: 5_000,
  /** Longer than the minute that proxies keep connections, so that they close first. */
  keepAliveTimeout: 65_000,
  noDelay: true,
  /** Checked here, since Node's own answer is not a problem. */
  requireHostHeader: false,
}

interface ListenOptions {
  host: string
  port: number
  /** Several processes listen on the port; the kernel spreads connections over them. */
  reusePort: boolean
}

export interface ApiServer {
  port: number
  /** Takes no new connections, lets requests end, and cuts what is left at the deadline. */
  close(deadlineMs: number): Promise<void>
}

export async function startServer(listener: RequestListener, { host, port, reusePort }: ListenOptions): Promise<ApiServer> {
  const serve: RequestListener = (req, res) => {
    if (namesOneHost(req)) return listener(req, res)
    res.setHeader('Connection', 'close')
    sendProblem(res, new AppError('invalid_request', 'The request must name exactly one host.'), newId('req'))
  }
  const server = createServer(limits, serve)
  // An expectation that nobody knows is no reason to refuse; `100-continue` is met by Node and never comes here.
  server.on('checkExpectation', serve)
  server.maxHeadersCount = 100
  server.on('clientError', answerBroken)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, reusePort }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return { port: (server.address() as AddressInfo).port, close: (deadlineMs) => drain(server, deadlineMs) }
}

function namesOneHost(req: IncomingMessage): boolean {
  if (req.httpVersion === '1.0') return true
  const { rawHeaders } = req
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.length === 4 && rawHeaders[i]?.toLowerCase() === 'host') count += 1
  }
  return count === 1
}

async function drain(server: Server, deadlineMs: number): Promise<void> {
  const cut = setTimeout(() => server.closeAllConnections(), deadlineMs)
  // Connections whose answer was under way when the server closed are idle a moment later.
  const sweep = setInterval(() => server.closeIdleConnections(), 50)
  try {
    await new Promise<void>((resolve) => server.close(() => resolve()))
  } finally {
    clearTimeout(cut)
    clearInterval(sweep)
  }
}

const brokenCodes: Record<string, ErrorCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timed_out',
}

/** What the parser refuses never reaches the routes. */
function answerBroken(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const code = brokenCodes[error.code ?? ''] ?? 'invalid_request'
  const detail = code === 'invalid_request' ? 'This is not a valid HTTP request.' : undefined
  const problem = problemOf(new AppError(code, detail), newId('req'))
  const body = JSON.stringify(problem)
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? 'Bad Request'}\r\n` +
      'Content-Type: application/problem+json; charset=utf-8\r\n' +
      `X-Request-Id: ${problem.requestId}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
