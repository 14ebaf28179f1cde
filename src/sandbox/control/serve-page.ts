// The files of the page, and the policy that lets it load nothing from elsewhere.
import { readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'

const directory = new URL('../page/', import.meta.url)
const types = { html: 'text/html', css: 'text/css', js: 'text/javascript' } as const
const names = [
  'index.html',
  'page.css',
  'controls.css',
  'conversation.css',
  'page.js',
  'api.js',
  'element.js',
  'phone-panel.js',
  'conversation.js',
]
/** Path → file name; nothing else of the directory is served. */
const files = new Map(names.map((name) => [name === 'index.html' ? '/' : `/page/${name}`, name]))

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ')

/** False when the path is none of the page's. */
export async function servePage(request: IncomingMessage, response: ServerResponse, path: string): Promise<boolean> {
  const name = files.get(path)
  if (name === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) return false
  const content = await readFile(new URL(name, directory))
  response.writeHead(200, {
    'content-type': `${types[name.split('.').at(-1) as keyof typeof types]}; charset=utf-8`,
    'content-length': content.length,
    'content-security-policy': policy,
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-cache',
  })
  response.end(request.method === 'HEAD' ? undefined : content)
  return true
}
