// Pages for people: the front page, the API reference, the error codes, and signing in with the admin key.
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { AppError } from '../../platform/errors.ts'
import { defineRoute, type Answer, type Route, type RouteRequest } from '../route.ts'
import { docsPage, docsScript, errorsPage, htmlType, landingPage, pageStyle, signInPage } from '../page.ts'
import { originOf } from '../same-origin.ts'
import { clientAddress } from '../sign-in-limiter.ts'
import { version as productVersion } from '../../platform/version.ts'

const tag = 'Pages'
const swaggerDir = dirname(fileURLToPath(import.meta.resolve('swagger-ui-dist/package.json')))
/** Where a sign-in may lead: never to an address somebody else has written. */
const nextPages = ['/', '/queues', '/docs'] as const
const nextPage = z.enum(nextPages).catch('/')

const open = { method: 'get', tag, access: 'open', target: 'none', errors: [] } as const
const html = (body: string): Answer => ({ status: 200, raw: { type: htmlType, data: body } })
const asset = (type: string, data: string | Buffer): Answer => ({
  status: 200,
  raw: { type, data },
  headers: { 'Cache-Control': 'public, max-age=3600' },
})
const htmlAnswer = { 200: { description: 'A page.', alsoAs: ['text/html'] } }
const cssAnswer = { 200: { description: 'A style sheet.', alsoAs: ['text/css'] } }
const scriptAnswer = { 200: { description: 'A script.', alsoAs: ['text/javascript'] } }
const cssType = 'text/css; charset=utf-8'
const scriptType = 'text/javascript; charset=utf-8'

export const pageRoutes: Route[] = [
  defineRoute({
    ...open,
    id: 'frontPage',
    path: '/',
    summary: 'Front page, without data',
    answers: htmlAnswer,
    handle: () => Promise.resolve(html(landingPage(productVersion))),
  }),
  defineRoute({
    ...open,
    id: 'pageStyle',
    path: '/page.css',
    summary: 'Style of the pages',
    answers: cssAnswer,
    handle: () => Promise.resolve(asset(cssType, pageStyle)),
  }),
  defineRoute({
    ...open,
    id: 'docsPage',
    path: '/docs',
    summary: 'API reference',
    answers: htmlAnswer,
    handle: () => Promise.resolve(html(docsPage())),
  }),
  defineRoute({
    ...open,
    id: 'errorsPage',
    path: '/docs/errors',
    summary: 'Error codes',
    answers: htmlAnswer,
    handle: () => Promise.resolve(html(errorsPage())),
  }),
  defineRoute({
    ...open,
    id: 'docsStyle',
    path: '/docs/assets/swagger-ui.css',
    summary: 'Style of the API reference',
    answers: cssAnswer,
    handle: async () => asset(cssType, await readFile(join(swaggerDir, 'swagger-ui.css'))),
  }),
  defineRoute({
    ...open,
    id: 'docsBundle',
    path: '/docs/assets/swagger-ui-bundle.js',
    summary: 'Script of the API reference',
    answers: scriptAnswer,
    handle: async () => asset(scriptType, await readFile(join(swaggerDir, 'swagger-ui-bundle.js'))),
  }),
  defineRoute({
    ...open,
    id: 'docsScript',
    path: '/docs/assets/start.js',
    summary: 'Starts the API reference',
    answers: scriptAnswer,
    handle: () => Promise.resolve(asset(scriptType, docsScript)),
  }),
  defineRoute({
    ...open,
    id: 'signInPage',
    path: '/sign-in',
    summary: 'Sign-in form',
    query: z.object({ next: nextPage.optional(), fault: z.enum(['wrong', 'wait']).optional().catch(undefined) }),
    answers: htmlAnswer,
    handle: (_deps, { query }) => Promise.resolve(html(signInPage(query.next ?? '/', query.fault))),
  }),
  defineRoute({
    ...open,
    id: 'signIn',
    method: 'post',
    path: '/sign-in',
    summary: 'Sign in with the admin key',
    body: z.object({ key: z.string().max(200), next: nextPage.optional() }),
    bodyType: 'application/x-www-form-urlencoded',
    answers: { 303: { description: 'Signed in (a cookie is set); or, for browsers, back to the form.' } },
    errors: ['unauthorized', 'cross_origin', 'too_many_requests'],
    async handle(deps, request) {
      if (originOf(request.headers) === 'foreign') throw new AppError('cross_origin')
      const next = request.body.next ?? '/'
      try {
        const address = clientAddress(request.remoteAddress, request.headers)
        deps.signInLimiter.check(address)
        if (!deps.authenticator.isAdminKey(request.body.key)) {
          deps.signInLimiter.failed(address)
          throw new AppError('unauthorized', 'This is not the admin key.')
        }
      } catch (error) {
        if (!(error instanceof AppError) || !isBrowser(request)) throw error
        const fault = error.code === 'unauthorized' ? 'wrong' : 'wait'
        return seeOther(`/sign-in?next=${encodeURIComponent(next)}&fault=${fault}`)
      }
      return seeOther(next, deps.cookies.issue(isHttps(request)))
    },
  }),
  defineRoute({
    ...open,
    id: 'signOut',
    method: 'post',
    path: '/sign-out',
    summary: 'End the sign-in',
    answers: { 303: { description: 'The sign-in has ended, and the cookie is gone.' } },
    errors: ['cross_origin'],
    async handle(deps, request) {
      if (originOf(request.headers) === 'foreign') throw new AppError('cross_origin')
      const signIn = deps.cookies.read(request.headers.cookie)
      if (signIn) await deps.signedOut.add(signIn)
      return seeOther('/', deps.cookies.clear(isHttps(request)))
    },
  }),
]

function seeOther(location: string, cookie?: string): Answer {
  return { status: 303, headers: { Location: location, ...(cookie === undefined ? {} : { 'Set-Cookie': cookie }) } }
}

function isBrowser(request: Pick<RouteRequest, 'headers'>): boolean {
  return request.headers.accept?.includes('text/html') ?? false
}

/** Told by the proxy that ends TLS. A lie only makes the liar's own cookie stricter. */
function isHttps({ headers }: Pick<RouteRequest, 'headers'>): boolean {
  return headers['x-forwarded-proto'] === 'https'
}
