// The Express app: the route table, Bull Board behind a sign-in, and problems for everything that goes wrong.
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import { AppError } from '../platform/errors.ts'
import { authorize } from './authorize.ts'
import { boardPath, type Board } from './bull-board.ts'
import { createDashboard } from './dashboard.ts'
import type { HttpDeps } from './http-deps.ts'
import { mountRoutes } from './mount-routes.ts'
import { strictPage, toolPage } from './page.ts'
import { asAppError, sendProblem } from './problem.ts'
import { observeRequest, recordOf } from './request-record.ts'
import { routeTable } from './route-table.ts'

interface AppDeps extends HttpDeps {
  board: Pick<Board, 'router'>
}

export function createApp(deps: AppDeps): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', 'simple')
  app.use((req, res, next) => {
    observeRequest(deps, req, res)
    const protect = req.url.startsWith('/v1/') ? protectApi : req.url.startsWith('/docs') ? toolPage : strictPage
    protect(req, res, next)
  })
  app.use(createDashboard())
  app.use(mountRoutes(deps, routeTable))
  app.use(boardPath, toolPage, signedIn(deps), deps.board.router)
  app.use(() => {
    throw new AppError('not_found')
  })
  app.use(answerProblem(deps))
  return app
}

/** Answers of the API are data: never kept, never run, never framed. */
const protectApi: RequestHandler = (_req, res, next) => {
  res.setHeader('Cache-Control', 'no-store')
  res.setHeader('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'")
  res.setHeader('X-Content-Type-Options', 'nosniff')
  next()
}

/** Admins only; people with a browser are led to the form. */
function signedIn({ authenticator }: HttpDeps): RequestHandler {
  return async (req, res, next) => {
    const record = recordOf(res)
    record.route = boardPath
    record.caller = await authenticator.identify(req.method, req.headers)
    if (record.caller === null && req.method === 'GET' && req.accepts(['json', 'html']) === 'html') {
      res.redirect(303, `/sign-in?next=${boardPath}`)
      return
    }
    authorize({ access: 'admin', target: 'none' }, record.caller, undefined)
    next()
  }
}

/** Expected errors are part of the request's line; an unexpected one is logged with its stack and answered as a bare 500. */
function answerProblem({ log, stopping }: HttpDeps): ErrorRequestHandler {
  return (thrown, _req, res, _next) => {
    const record = recordOf(res)
    const error = isUndecodable(thrown) ? new AppError('not_found') : asAppError(thrown)
    if (error.status === 500)
      log.error({ err: error.cause ?? error, requestId: record.requestId, route: record.route }, 'http.failed')
    record.code = error.code
    if (res.headersSent) {
      res.destroy()
      return
    }
    if (stopping.aborted) res.setHeader('Connection', 'close')
    sendProblem(res, error, record.requestId)
  }
}

/** A path with a broken percent code names nothing. */
function isUndecodable(error: unknown): boolean {
  return error instanceof URIError
}
