// Errors as RFC 9457 problems: the one place where the API translates what went wrong.
import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import { AppError, errorTable, type ErrorCode } from '../platform/errors.ts'

const maxFaults = 20
const maxPathLength = 200

export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  code: string
  requestId: string
  errors?: { path: string; message: string }[]
  oldestCursor?: string
}

/** The detail of an error nobody expected stays inside: it is in the log. */
export function problemOf(error: AppError, requestId: string): Problem {
  const code = error.status === 500 ? 'internal' : error.code
  const rule = errorTable[code]
  return {
    type: `/docs/errors#${code}`,
    title: rule.title,
    status: rule.status,
    detail: error.status === 500 ? rule.title : error.message,
    code,
    requestId,
    ...(error.errors ? { errors: error.errors } : {}),
    ...(error.oldestCursor === undefined ? {} : { oldestCursor: error.oldestCursor }),
  }
}

/** Anything thrown → the error to answer. What is not known is `internal`. */
export function asAppError(error: unknown): AppError {
  if (error instanceof AppError) return error
  if (error instanceof z.ZodError) return invalidRequest(error)
  return new AppError('internal', undefined, { cause: error })
}

/** Zod's issues → one entry per fault, bounded, without the values that were sent. */
export function invalidRequest(error: z.ZodError, within?: string): AppError {
  const faults = error.issues.flatMap((issue) => {
    const path = within === undefined ? issue.path : [within, ...issue.path]
    const named = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...path, key]) : [path]
    const message = issue.code === 'unrecognized_keys' ? 'is not a known field' : issue.message
    return named.map((parts) => ({ path: parts.map(String).join('.').slice(0, maxPathLength), message }))
  })
  return new AppError('invalid_request', undefined, { errors: faults.slice(0, maxFaults) })
}

const retryAfterDefault: Partial<Record<ErrorCode, number>> = { qr_not_ready: 2, session_not_connected: 5, queue_full: 5 }

/** When to ask again, in whole seconds; undefined where that is of no use. */
export function retryAfterOf(error: AppError): number | undefined {
  const isTemporary = error.status === 429 || error.status === 503 || retryAfterDefault[error.code] !== undefined
  const seconds = error.retryAfterSeconds ?? (isTemporary ? (retryAfterDefault[error.code] ?? 1) : undefined)
  return seconds === undefined ? undefined : Math.max(1, Math.ceil(seconds))
}

/** Headers that a problem carries beside its body. */
function problemHeaders(error: AppError): Record<string, string> {
  const headers: Record<string, string> = {}
  const retryAfter = retryAfterOf(error)
  if (retryAfter !== undefined) headers['Retry-After'] = String(retryAfter)
  if (error.status === 401) headers['WWW-Authenticate'] = 'Bearer realm="ujumbe"'
  return headers
}

export function sendProblem(res: ServerResponse, error: AppError, requestId: string): void {
  const problem = problemOf(error, requestId)
  const text = JSON.stringify(problem)
  res.writeHead(problem.status, {
    'Content-Type': 'application/problem+json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    ...problemHeaders(error),
  })
  res.end(text)
}
