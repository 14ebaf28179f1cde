// An API of the test's own: the real app on a free port over a real store and a real Redis; every answer is held to its route's schema.
import { randomBytes } from 'node:crypto'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { pino } from 'pino'
import { expect } from 'vitest'
import { startServer } from '../../src/http/api-server.ts'
import { createApp } from '../../src/http/app.ts'
import { createBoard } from '../../src/http/bull-board.ts'
import { createHttpDeps } from '../../src/http/create-deps.ts'
import { errorCodesOf } from '../../src/http/openapi.ts'
import { pathsOf, type Route } from '../../src/http/route.ts'
import { routeTable } from '../../src/http/route-table.ts'
import { problemSchema } from '../../src/http/schemas/field-schemas.ts'
import { newSecret } from '../../src/platform/crypto.ts'
import { errorTable, type ErrorCode } from '../../src/platform/errors.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { KeyRing } from '../../src/store/key-ring.ts'
import type { Store } from '../../src/store/store.ts'
import type { StreamSettings } from '../../src/webhooks/event-streams.ts'
import type { SecretBox } from '../../src/webhooks/secret-box.ts'
import { startTestRedis, type TestRedis } from './redis.ts'
import { openTestSqlite } from './store.ts'
import { waitFor } from './wait.ts'

export interface ApiAnswer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  /** Parsed when it is JSON. */
  body: any // oxlint-disable-line typescript/no-explicit-any -- tests look into answers freely
}

export interface CallOptions {
  key?: string
  headers?: Record<string, string>
  /** Sent as JSON. */
  json?: unknown
  /** Sent as it is. */
  raw?: string | Buffer
}

export interface TestApi {
  url: string
  port: number
  adminKey: string
  store: Store
  /** The SQLite file. */
  storePath: string
  redis: TestRedis
  prefix: string
  secretBox: SecretBox
  /** Everything that was logged. */
  logged(): string
  /** Checks the answer against the table before it returns it. */
  call(method: string, path: string, options?: CallOptions): Promise<ApiAnswer>
  /** What a process does on SIGTERM; resolves when drained. */
  stop(): Promise<void>
  close(): Promise<void>
}

export async function startTestApi(options: { allowedNetworks?: string[]; streams?: StreamSettings } = {}): Promise<TestApi> {
  const [redis, testStore] = await Promise.all([startTestRedis(), openTestSqlite()])
  const lines: string[] = []
  const destination = { write: (line: string) => void lines.push(line) }
  const log = pino({ level: 'trace' }, destination)
  const connection = connectRedis(redis.target, 'producer', log)
  await waitFor('Redis is connected', () => connection.status === 'ready')
  const prefix = 'uj'
  const adminKey = newSecret('uj_admin_')
  const stopping = new AbortController()
  const secretBox = new KeyRing([randomBytes(32)], log)
  const deps = createHttpDeps({
    config: { redisPrefix: prefix, webhookAllowedNetworks: options.allowedNetworks ?? ['127.0.0.0/8'] },
    store: testStore.store,
    redis: connection,
    secretBox,
    adminKey,
    log,
    stopping: stopping.signal,
    ...(options.streams ? { streams: options.streams } : {}),
  })
  const board = createBoard(deps)
  const server = await startServer(createApp({ ...deps, board }), { host: '127.0.0.1', port: 0, reusePort: false })
  const stop = async () => {
    stopping.abort()
    await server.close(3_000)
  }
  return {
    url: `http://127.0.0.1:${server.port}`,
    port: server.port,
    adminKey,
    store: testStore.store,
    storePath: testStore.path,
    redis,
    prefix,
    secretBox,
    logged: () => lines.join(''),
    call: async (method, path, callOptions = {}) => {
      const answer = await send(server.port, method, path, callOptions)
      holdToTable(method, path, answer)
      return answer
    },
    stop,
    close: async () => {
      await stop()
      await board.close()
      await deps.close()
      await closeRedis(connection)
      await testStore.close()
      await redis.close()
    },
  }
}

function send(port: number, method: string, path: string, options: CallOptions): Promise<ApiAnswer> {
  const payload = options.raw ?? (options.json === undefined ? undefined : JSON.stringify(options.json))
  const isChunked = options.headers?.['transfer-encoding'] !== undefined
  const headers: Record<string, string> = {
    ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key}` }),
    ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
    ...(payload === undefined || isChunked ? {} : { 'content-length': String(Buffer.byteLength(payload)) }),
    ...options.headers,
  }
  return new Promise((resolve, reject) => {
    const req = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: false }, (res) => {
      const chunks: Buffer[] = []
      res.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        // A stream has no end: its beginning is the answer.
        if (res.headers['content-type']?.startsWith('text/event-stream')) res.destroy()
      })
      res.on('error', reject)
      res.on('close', () => {
        const text = Buffer.concat(chunks).toString()
        const isJson = /^application\/(problem\+)?json/.test(res.headers['content-type'] ?? '')
        const body: unknown = isJson && text !== '' ? JSON.parse(text) : undefined
        resolve({ status: res.statusCode ?? 0, headers: res.headers, text, body })
      })
    })
    req.setTimeout(20_000, () => req.destroy(new Error(`${method} ${path} was not answered in 20 s`)))
    req.on('error', reject)
    req.end(payload)
  })
}

/** The route a path belongs to, as the router finds it. */
function routeOf(method: string, path: string): Route | undefined {
  const plain = path.split('?', 1)[0] ?? ''
  return routeTable.find(
    (route) =>
      route.method.toUpperCase() === method &&
      pathsOf(route).some((pattern) => new RegExp(`^${pattern.replace(/\{\w+\}/g, '[^/]+')}$`).test(plain)),
  )
}

/** A good answer is one that its route declares, with nothing the schema does not name; a bad one is a problem with a declared code. */
function holdToTable(method: string, path: string, answer: ApiAnswer): void {
  const where = `${method} ${path.slice(0, 200)} answered ${answer.status} ${answer.text.slice(0, 300)}`
  expect(answer.headers['x-request-id'], where).toMatch(/^req_/)
  const route = routeOf(method, path)
  if (answer.status >= 400) {
    expect(answer.headers['content-type'], where).toMatch(/^application\/problem\+json/)
    if (method === 'HEAD') return
    expect(problemSchema.parse(answer.body), where).toEqual(answer.body)
    const code = answer.body.code as ErrorCode
    expect(errorTable[code].status, where).toBe(answer.status)
    expect(answer.body.status, where).toBe(answer.status)
    expect(answer.text, where).not.toMatch(/\n\s+at |node_modules|\.ts:\d/)
    if (route && code !== 'not_found' && code !== 'method_not_allowed') expect(errorCodesOf(route), where).toContain(code)
    return
  }
  if (!route) return
  const spec = route.answers[answer.status]
  expect(spec, where).toBeDefined()
  if (spec?.schema && answer.body !== undefined) expect(spec.schema.parse(answer.body), where).toEqual(answer.body)
}

interface MadeSession {
  id: string
  key: string
}

/** A session without a worker: it stays `pending`. */
export async function makeSession(api: TestApi, body: Record<string, unknown> = {}): Promise<MadeSession> {
  const made = await api.call('POST', '/v1/sessions', { key: api.adminKey, json: { displayName: 'Test', ...body } })
  expect(made.status).toBe(201)
  return { id: made.body.id, key: made.body.apiKey }
}

export async function makeKey(api: TestApi, session: MadeSession, scopes: string[], expiresAt?: string): Promise<string> {
  const made = await api.call('POST', `/v1/sessions/${session.id}/keys`, {
    key: api.adminKey,
    json: { scopes, ...(expiresAt === undefined ? {} : { expiresAt }) },
  })
  expect(made.status).toBe(201)
  return made.body.key
}
