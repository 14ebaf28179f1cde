// The files of the page, and the policy that lets it load nothing from elsewhere.
import { readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'

const directory = new URL('../page/', import.meta.url)
const files: Record<string, { name: string; type: string }> = {
  '/': { name: 'index.html', type: 'text/html; charset=utf-8' },
  '/page/page.css': { name: 'page.css', type: 'text/css; charset=utf-8' },
  '/page/page.js': { name: 'page.js', type: 'text/javascript; charset=utf-8' },
  '/page/api.js': { name: 'api.js', type: 'text/javascript; charset=utf-8' },
  '/page/chats.js': { name: 'chats.js', type: 'text/javascript; charset=utf-8' },
  '/page/element.js': { name: 'element.js', type: 'text/javascript; charset=utf-8' },
}

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
  const file = files[path]
  if (!file || (request.method !== 'GET' && request.method !== 'HEAD')) return false
  const content = await readFile(new URL(file.name, directory))
  response.writeHead(200, {
    'content-type': file.type,
    'content-length': content.length,
    'content-security-policy': policy,
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-cache',
  })
  response.end(request.method === 'HEAD' ? undefined : content)
  return true
}
