// Failures of the control API as problem+json: the codes of its own, those of phones, and the unexpected one.
import type { ServerResponse } from 'node:http'
import type { Log } from '../../platform/log.ts'
import { PhoneError, phoneErrors } from '../phones/phone-error.ts'

const controlErrors = {
  malformed_json: { status: 400, title: 'The body is not valid JSON.' },
  invalid_request: { status: 400, title: 'The request does not fit. See `errors` for each fault.' },
  foreign_host: { status: 403, title: 'The sandbox answers only to its own machine.' },
  cross_origin: { status: 403, title: 'The sandbox does not answer to other sites.' },
  not_found: { status: 404, title: 'There is nothing at this address.' },
  method_not_allowed: { status: 405, title: 'This address does not take this method.' },
  body_timed_out: { status: 408, title: 'The body did not arrive in time.' },
  body_too_large: { status: 413, title: 'The body is larger than 1 MB.' },
  unsupported_media_type: { status: 415, title: 'Send the body as application/json.' },
} as const

export class ControlError extends Error {
  readonly code: keyof typeof controlErrors
  readonly errors: { path: string; message: string }[] | undefined

  constructor(code: keyof typeof controlErrors, detail?: string, errors?: { path: string; message: string }[]) {
    super(detail ?? controlErrors[code].title)
    this.name = 'ControlError'
    this.code = code
    this.errors = errors
  }
}

export function writeProblem(response: ServerResponse, error: unknown, log: Log): void {
  if (response.headersSent || response.destroyed) return void response.destroy()
  const problem = describe(error)
  if (problem.status === 500) log.error({ err: error }, 'control.request_failed')
  response.writeHead(problem.status, { 'content-type': 'application/problem+json', 'cache-control': 'no-store' })
  response.end(JSON.stringify({ type: 'about:blank', ...problem }))
}

function describe(error: unknown) {
  if (error instanceof PhoneError) return { ...phoneErrors[error.code], detail: error.message, code: error.code }
  if (error instanceof ControlError) {
    const errors = error.errors ? { errors: error.errors } : {}
    return { ...controlErrors[error.code], detail: error.message, code: error.code, ...errors }
  }
  const title = 'Something unexpected happened. It is in the log of the sandbox.'
  return { status: 500, title, detail: title, code: 'internal' }
}
