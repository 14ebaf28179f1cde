// The router made from the table: for each route authenticate, authorise, read, validate, handle, answer — in that order.
import { Router, type Request, type Response } from 'express'
import { z } from 'zod'
import { AppError } from '../platform/errors.ts'
import { isId } from '../platform/id.ts'
import { authorize } from './authorize.ts'
import type { HttpDeps } from './http-deps.ts'
import { invalidRequest } from './problem.ts'
import { readBody } from './request-body.ts'
import { recordOf } from './request-record.ts'
import { pathsOf, type Answer, type Caller, type Route, type RouteRequest } from './route.ts'

const noParameters = z.strictObject({})

export function mountRoutes(deps: HttpDeps, routes: readonly Route[]): Router {
  const router = Router({ caseSensitive: true, strict: true })
  const entries = routes.flatMap((route) => pathsOf(route).map((path) => ({ route, path })))
  // Path by path, so that `/v1/messages/batch` has refused what it does not take before `/v1/messages/{messageId}` is tried.
  for (const [path, sharing] of Map.groupBy(entries, (entry) => entry.path)) {
    const at = expressPath(path)
    for (const { route } of sharing) router[route.method](at, (req, res) => serve(deps, route, path, req, res))
    const allowed = sharing.map(({ route }) => route.method.toUpperCase())
    router.all(at, (_req, res) => {
      recordOf(res).route = path
      res.setHeader('Allow', (allowed.includes('GET') ? [...allowed, 'HEAD'] : allowed).join(', '))
      throw new AppError('method_not_allowed')
    })
  }
  return router
}

/** `/v1/sessions/{sessionId}` → `/v1/sessions/:sessionId` */
function expressPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ':$1')
}

async function serve(deps: HttpDeps, route: Route, path: string, req: Request, res: Response): Promise<void> {
  const record = recordOf(res)
  record.route = path
  const given = req.params as Record<string, string>
  const caller = route.access === 'open' ? null : await deps.authenticator.identify(req.method, req.headers)
  record.caller = caller
  const sessionId = authorize(route, caller, given['sessionId'])
  if (sessionId !== null && !isId('ses', sessionId)) throw new AppError('not_found')
  record.sessionId = sessionId
  const answer = await route.handle(deps, await readRequest(deps, route, req, res, { caller, sessionId }))
  if (deps.stopping.aborted) res.setHeader('Connection', 'close')
  if (answer.stream) {
    record.isStream = true
    await answer.stream(res)
  } else {
    send(res, answer)
  }
}

async function readRequest(
  deps: HttpDeps,
  route: Route,
  req: Request,
  res: Response,
  { caller, sessionId }: { caller: Caller | null; sessionId: string | null },
): Promise<RouteRequest> {
  const params = parseParams(route, req)
  const query = parseQuery(route, req)
  const body = await parseBody(route, req, res)
  const { headers } = req
  const remoteAddress = req.socket.remoteAddress ?? ''
  // No getter: V8 makes a class of its own for each object that has one, which keeps the whole request until the next major collection.
  const untilGone = () => goneOrStopping(res, deps.stopping)
  return { caller, sessionId, params, query, body, headers, remoteAddress, untilGone }
}

function goneOrStopping(res: Response, stopping: AbortSignal): AbortSignal {
  const gone = new AbortController()
  res.once('close', () => gone.abort())
  return AbortSignal.any([gone.signal, stopping])
}

function parseParams(route: Route, req: Request): unknown {
  if (!route.params) return undefined
  const parsed = route.params.safeParse(req.params)
  if (!parsed.success) throw new AppError('not_found')
  return parsed.data
}

function parseQuery(route: Route, req: Request): unknown {
  if (!route.query && (route.access === 'open' || !req.url.includes('?'))) return undefined
  const parsed = (route.query ?? noParameters).safeParse(req.query)
  if (!parsed.success) throw invalidRequest(parsed.error, 'query')
  return parsed.data
}

async function parseBody(route: Route, req: Request, res: Response): Promise<unknown> {
  if (!route.body) return undefined
  const body = await readBody(req, res, route.bodyType ?? 'application/json')
  const parsed = route.body.safeParse(body === undefined && route.bodyOptional ? {} : body)
  if (!parsed.success) throw invalidRequest(parsed.error)
  return parsed.data
}

function send(res: Response, { status, headers, body, raw }: Answer): void {
  if (body === undefined && raw === undefined) {
    res.writeHead(status, headers).end()
    return
  }
  const data = raw?.data ?? JSON.stringify(body)
  const type = raw?.type ?? 'application/json; charset=utf-8'
  res.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(data), ...headers }).end(data)
}
