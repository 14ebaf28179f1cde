// Finds the handler of a control request and writes its answer as JSON.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { ControlError } from './problem.ts'

export interface ControlRequest {
  raw: IncomingMessage
  /** The `{…}` parts of the path, decoded. */
  params: Record<string, string>
  query: URLSearchParams
}

export interface Reply {
  status: number
  /** Left out with 204. */
  body?: unknown
}

export interface Route {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Like `/phones/{phoneNumber}/messages`. */
  path: string
  handle: (request: ControlRequest) => Promise<Reply> | Reply
}

/** @throws ControlError `not_found`, `method_not_allowed` */
export async function route(routes: readonly Route[], raw: IncomingMessage, url: URL): Promise<Reply> {
  const fitting = routes.flatMap((candidate) => {
    const params = match(candidate.path, url.pathname)
    return params ? [{ candidate, params }] : []
  })
  if (fitting.length === 0) throw new ControlError('not_found')
  const found = fitting.find(({ candidate }) => candidate.method === raw.method)
  if (!found) throw new ControlError('method_not_allowed')
  return found.candidate.handle({ raw, params: found.params, query: url.searchParams })
}

export function writeReply(response: ServerResponse, { status, body }: Reply): void {
  if (body === undefined) return void response.writeHead(status, { 'cache-control': 'no-store' }).end()
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
  response.end(JSON.stringify(body))
}

function match(pattern: string, path: string): Record<string, string> | undefined {
  const expected = pattern.split('/')
  const given = path.split('/')
  if (expected.length !== given.length) return undefined
  const params: Record<string, string> = {}
  for (const [index, part] of expected.entries()) {
    const value = given[index] ?? ''
    if (part.startsWith('{')) params[part.slice(1, -1)] = decode(value)
    else if (part !== value) return undefined
  }
  return params
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new ControlError('not_found')
  }
}
