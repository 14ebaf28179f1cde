// The OpenAPI document, made from the route table and the same schemas that validate.
import { z } from 'zod'
import {
  createDocument,
  type CreateDocumentOptions,
  type ZodOpenApiObject,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponsesObject,
} from 'zod-openapi'
import { errorTable, type ErrorCode } from '../platform/errors.ts'
import { pathsOf, type Route } from './route.ts'
import { idField, problemSchema } from './schemas/field-schemas.ts'

export type OpenApiDocument = ReturnType<typeof createDocument>

const authorized = [{ bearer: [] }, { apiKey: [] }, { signIn: [] }]

export function createOpenApiDocument(routes: readonly Route[], version: string): OpenApiDocument {
  const paths: ZodOpenApiPathsObject = {}
  for (const route of routes) {
    for (const path of pathsOf(route)) {
      paths[path] = { ...paths[path], [route.method]: operation(route, path) }
    }
  }
  return createDocument(describe(paths, version), { override: open })
}

/** Answers may gain fields, so that they are not closed. A time's format says more than its pattern; half surrogate pairs go without saying. */
const open: NonNullable<CreateDocumentOptions['override']> = ({ jsonSchema, io }) => {
  if (io === 'output' && jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties
  if (jsonSchema.format === 'date-time' || jsonSchema.pattern?.includes('\\ud800')) delete jsonSchema.pattern
}

function describe(paths: ZodOpenApiPathsObject, version: string): ZodOpenApiObject {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Ujumbe',
      version,
      description:
        'WhatsApp over HTTP. With a session key the session may be left out: `/v1/messages` is the messages of its own session. ' +
        'Every error is an RFC 9457 problem with a stable `code`.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: '`uj_admin_…` or `uj_ses_…`' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
        signIn: {
          type: 'apiKey',
          in: 'cookie',
          name: 'ujumbe_session',
          description: 'Set by the sign-in form; for pages of ours.',
        },
      },
    },
  }
}

function operation(route: Route, path: string): ZodOpenApiOperationObject {
  const isShort = path === route.shortPath
  const pathParams = path.includes('{sessionId}') ? z.object({ sessionId: idField('ses'), ...route.params?.shape }) : route.params
  const access = route.access === 'open' ? 'Open.' : route.access === 'admin' ? 'Admin key.' : `Scope \`${route.access}\`.`
  return {
    operationId: isShort ? `${route.id}OfOwnSession` : route.id,
    tags: [route.tag],
    summary: route.summary,
    description: [route.description, access].filter(Boolean).join(' '),
    ...(route.access === 'open' ? { security: [] } : { security: authorized }),
    requestParams: {
      ...(pathParams ? { path: pathParams } : {}),
      ...(route.query ? { query: route.query } : {}),
      ...(route.headers ? { header: route.headers } : {}),
    },
    ...(route.body
      ? {
          requestBody: {
            required: !route.bodyOptional,
            content: { [route.bodyType ?? 'application/json']: { schema: route.body } },
          },
        }
      : {}),
    responses: { ...goodAnswers(route), ...problems(route) },
  }
}

function goodAnswers(route: Route): ZodOpenApiResponsesObject {
  return Object.fromEntries(
    Object.entries(route.answers).map(([status, { description, schema, alsoAs = [], headers = {} }]) => [
      status,
      {
        description,
        headers: Object.fromEntries(
          Object.entries(headers).map(([name, text]) => [name, { description: text, schema: { type: 'string' as const } }]),
        ),
        content: {
          ...(schema ? { 'application/json': { schema } } : {}),
          ...Object.fromEntries(alsoAs.map((type) => [type, { schema: { type: 'string' as const } }])),
        },
      },
    ]),
  )
}

/** Every code this route can answer with, beyond the router's own 404 and 405. */
export function errorCodesOf(route: Route): ErrorCode[] {
  const codes: ErrorCode[] = [...route.errors, 'internal']
  if (route.access !== 'open') codes.push('unauthorized', 'cross_origin', 'store_unavailable', 'invalid_request')
  if (route.access === 'admin') codes.push('admin_only')
  else if (route.access !== 'open') codes.push('missing_scope')
  if (route.target !== 'none' || route.params) codes.push('not_found')
  if (route.body) codes.push('malformed_json', 'invalid_request', 'body_too_large', 'unsupported_media_type')
  return [...new Set(codes)]
}

function problems(route: Route): ZodOpenApiResponsesObject {
  const byStatus = Map.groupBy(errorCodesOf(route), (code) => errorTable[code].status)
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      String(status) as `${4 | 5}${string}`,
      {
        description: codes.map((code) => `\`${code}\``).join(', '),
        ...(status === 429 || status === 503 || status === 409
          ? { headers: { 'Retry-After': { description: 'Seconds.', schema: { type: 'integer' as const } } } }
          : {}),
        content: { 'application/problem+json': { schema: problemSchema } },
      },
    ]),
  )
}
