// What a route is: data from which the router, the OpenAPI document and the authorisation test are all made.
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { z } from 'zod'
import type { ErrorCode } from '../platform/errors.ts'
import type { Scope } from '../store/key-store.ts'
import type { HttpDeps } from './http-deps.ts'

export type Caller =
  | { kind: 'admin'; via: 'key' | 'cookie' }
  | { kind: 'session'; sessionId: string; keyId: string; scopes: readonly Scope[]; expiresAt: number | null }

/** `open`: no key. A scope: an admin key, or a session key that has it. */
export type Access = 'open' | 'admin' | Scope

/**
 * Whose things a route is about. `session`: one session's, named in the path or by the key on the short path.
 * `session-or-fleet`: the same, but on the short path an admin means the whole fleet.
 */
export type Target = 'none' | 'session' | 'session-or-fleet'

export interface RouteRequest<Params = unknown, Query = unknown, Body = unknown> {
  /** Null only on open routes. */
  caller: Caller | null
  /** Null when the target is `none`, or the whole fleet. */
  sessionId: string | null
  params: Params
  query: Query
  body: Body
  headers: IncomingHttpHeaders
  remoteAddress: string
  /** For handlers that wait: aborts when the client goes away or the process stops. */
  untilGone: () => AbortSignal
}

export interface Answer {
  status: number
  /** Sent as JSON. */
  body?: unknown
  /** Sent as it is. */
  raw?: { type: string; data: string | Buffer }
  headers?: Record<string, string>
  /** Writes the whole answer itself, head and all, and resolves when it is over. Instead of `body` and `raw`. */
  stream?: (res: ServerResponse) => Promise<void>
}

export interface AnswerSpec {
  description: string
  /** Of the JSON body; an answer without one has no JSON body. */
  schema?: z.ZodType
  /** Other media types this answer can have, for the document. */
  alsoAs?: string[]
  headers?: Record<string, string>
}

export interface Route {
  /** operationId. */
  id: string
  method: 'get' | 'post' | 'patch' | 'delete'
  /** With `{name}` parameters. */
  path: string
  /** The same without the session: the key says which. */
  shortPath?: string
  tag: string
  summary: string
  description?: string
  access: Access
  target: Target
  /** A parameter that does not fit is a 404: a wrong id looks the same as a missing one. */
  params?: z.ZodObject
  query?: z.ZodObject
  /** Headers that mean something beyond the key. */
  headers?: z.ZodObject
  body?: z.ZodType
  /** What the body is when it is not JSON. */
  bodyType?: 'application/x-www-form-urlencoded'
  /** An empty body counts as `{}`. */
  bodyOptional?: boolean
  answers: Record<number, AnswerSpec>
  /** Codes beyond those that every such route can answer. */
  errors: readonly ErrorCode[]
  handle(deps: HttpDeps, request: RouteRequest): Promise<Answer>
}

type Parsed<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined

interface TypedRoute<
  Params extends z.ZodObject | undefined,
  Query extends z.ZodObject | undefined,
  Body extends z.ZodType | undefined,
> extends Omit<Route, 'params' | 'query' | 'body' | 'handle'> {
  params?: Params
  query?: Query
  body?: Body
  handle(deps: HttpDeps, request: RouteRequest<Parsed<Params>, Parsed<Query>, Parsed<Body>>): Promise<Answer>
}

/** Gives the handler the types of the schemas. */
export function defineRoute<
  Params extends z.ZodObject | undefined = undefined,
  Query extends z.ZodObject | undefined = undefined,
  Body extends z.ZodType | undefined = undefined,
>(route: TypedRoute<Params, Query, Body>): Route {
  return route as unknown as Route
}

/** Every path of a route: the long one first. */
export function pathsOf(route: Route): string[] {
  return route.shortPath === undefined ? [route.path] : [route.path, route.shortPath]
}

/** For handlers whose target is `session`: the mount has seen to it. */
export function sessionIdOf(request: RouteRequest): string {
  if (request.sessionId === null) throw new Error('a route without a session asked for one')
  return request.sessionId
}
