// What is known of one request while it runs, and the one line that is logged of it at its end.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { newId } from '../platform/id.ts'
import type { Log } from '../platform/log.ts'
import { observeHttp } from './metrics.ts'
import type { Caller } from './route.ts'

export interface RequestRecord {
  readonly requestId: string
  readonly startedAt: number
  /** The route's path with its parameters' names, never their values. */
  route: string | null
  caller: Caller | null
  sessionId: string | null
  /** Of the problem that was answered. */
  code: string | null
  /** Its answer goes on until somebody has had enough: its duration is no measure of ours. */
  isStream: boolean
}

const recordKey = Symbol('record of the request')

/** The record of a request; the first call makes it. */
export function recordOf(res: ServerResponse & { [recordKey]?: RequestRecord }): RequestRecord {
  return (res[recordKey] ??= {
    requestId: newId('req'),
    startedAt: performance.now(),
    route: null,
    caller: null,
    sessionId: null,
    code: null,
    isStream: false,
  })
}

/** Probes ask every few seconds; their lines would bury the others. */
const quiet = new Set(['/livez', '/readyz', '/metrics'])

interface ObserveDeps {
  log: Log
}

/** Logs and measures the request when its answer has gone, or its client. */
export function observeRequest({ log }: ObserveDeps, req: IncomingMessage, res: ServerResponse): void {
  const record = recordOf(res)
  res.setHeader('X-Request-Id', record.requestId)
  res.once('close', () => {
    const durationMs = performance.now() - record.startedAt
    const { route, caller, sessionId, code, isStream } = record
    const method = req.method ?? ''
    // 499: the client went away before it had its answer.
    const status = res.writableFinished || isStream ? res.statusCode : 499
    if (!isStream) observeHttp({ method, route: route ?? 'unknown', status }, durationMs / 1000)
    log[quiet.has(route ?? '') ? 'debug' : 'info'](
      {
        requestId: record.requestId,
        method,
        route,
        status,
        ...(code === null ? {} : { code }),
        ...(sessionId === null ? {} : { sessionId }),
        ...(caller === null ? {} : { caller: caller.kind === 'admin' ? `admin ${caller.via}` : caller.keyId }),
        durationMs: Math.round(durationMs * 10) / 10,
      },
      'http.answered',
    )
  })
}
