// What machines ask of the process itself: alive, ready, metrics, and the OpenAPI document.
import { z } from 'zod'
import { AppError } from '../../platform/errors.ts'
import { pingRedis } from '../../platform/redis.ts'
import type { HttpDeps } from '../http-deps.ts'
import { createOpenApiDocument } from '../openapi.ts'
import { version as productVersion } from '../../platform/version.ts'
import { defineRoute, type Route } from '../route.ts'

const tag = 'Operations'
const open = { method: 'get', tag, access: 'open', target: 'none' } as const
const state = z.enum(['up', 'down'])

/** `others`: the rest of the table, which the document describes together with these. */
export function operationRoutes(others: readonly Route[]): Route[] {
  let document: string | undefined
  const routes: Route[] = [
    defineRoute({
      ...open,
      id: 'livez',
      path: '/livez',
      summary: 'Is this process alive',
      answers: { 200: { description: 'It is.', schema: z.object({ status: z.literal('ok') }) } },
      errors: [],
      handle: () => Promise.resolve({ status: 200, body: { status: 'ok' } }),
    }),
    defineRoute({
      ...open,
      id: 'readyz',
      path: '/readyz',
      summary: 'Can it take requests: Redis and the store answer, and it is not stopping',
      answers: { 200: { description: 'It can.', schema: z.object({ status: z.literal('ok'), redis: state, store: state }) } },
      errors: ['redis_unavailable', 'store_unavailable', 'shutting_down'],
      async handle(deps) {
        if (deps.stopping.aborted) throw new AppError('shutting_down')
        await Promise.all([pingRedis(deps.redis), deps.store.ping()])
        return { status: 200, body: { status: 'ok', redis: 'up', store: 'up' } }
      },
    }),
    defineRoute({
      ...open,
      id: 'openApi',
      path: '/openapi.json',
      summary: 'This API as an OpenAPI document',
      answers: { 200: { description: 'The document.', schema: z.record(z.string(), z.unknown()) } },
      errors: [],
      handle() {
        document ??= JSON.stringify(createOpenApiDocument([...others, ...routes], productVersion))
        return Promise.resolve({ status: 200, raw: { type: 'application/json; charset=utf-8', data: document } })
      },
    }),
    defineRoute({
      ...open,
      id: 'metrics',
      path: '/metrics',
      summary: 'Prometheus metrics of all processes',
      access: 'admin',
      answers: { 200: { description: 'Metrics.', alsoAs: ['text/plain'] } },
      errors: [],
      handle: async ({ metrics }: HttpDeps) => ({
        status: 200,
        raw: { type: 'text/plain; version=0.0.4; charset=utf-8', data: await metrics.render() },
      }),
    }),
  ]
  return routes
}
