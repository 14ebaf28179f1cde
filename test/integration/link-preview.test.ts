// Previews from real servers: what they may do, where they may not lead, and what the log says of it.
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { pino } from 'pino'
import { LinkPreviews } from '../../src/messages/link-preview.ts'
import { createGuardPolicy, type Lookup } from '../../src/webhooks/guard-url.ts'

const timeoutMs = 1_000
const never = new AbortController().signal
let servers: Server[]
let made: LinkPreviews[]
let lines: Record<string, unknown>[]
let requests: string[]
beforeEach(() => {
  servers = []
  made = []
  lines = []
  requests = []
})
afterEach(async () => {
  for (const previews of made) await previews.close()
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
})

const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) })
const message = (body: string, linkPreview = true) => ({ type: 'text', content: { text: { body, linkPreview } } })

async function serve(handler: RequestListener): Promise<number> {
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    handler(request, response)
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const page = (html: string, type = 'text/html; charset=utf-8'): RequestListener => {
  return (_, response) => void response.writeHead(200, { 'content-type': type }).end(html)
}

/** Names ending in `.allowed` lead to 127.0.0.2, which is allowed; all others to 127.0.0.1, which is not. */
const lookup: Lookup = (hostname, _, callback) => {
  callback(null, [{ address: hostname.endsWith('.inside') ? '10.1.2.3' : '127.0.0.1', family: 4 }])
}
function previewer(networks = ['127.0.0.1']): LinkPreviews {
  const previews = new LinkPreviews({ policy: createGuardPolicy(networks, lookup), timeoutMs })
  made.push(previews)
  return previews
}
const reasons = () => lines.filter(({ msg }) => msg === 'link_preview.failed').map(({ reason }) => reason)

test('title and description of the first address, asked for once, also by two at a time', async () => {
  const port = await serve(page('<title>Clinic</title><meta name=description content="Open daily">'))
  const previews = previewer()
  const text = message(`Karibu http://clinic.test:${port}/open?token=s3cret !`)
  expect(previews.known(text)).toBeNull()
  const both = await Promise.all([previews.previewOf(text, never, log), previews.previewOf(text, never, log)])
  const expected = {
    matchedText: `http://clinic.test:${port}/open?token=s3cret`,
    canonicalUrl: `http://clinic.test:${port}/open?token=s3cret`,
    title: 'Clinic',
    description: 'Open daily',
  }
  const all = [...both, await previews.previewOf(text, never, log), previews.known(text)]
  expect(all).toEqual(all.map(() => expected))
  expect(requests).toEqual(['GET /open?token=s3cret'])
  expect(JSON.stringify(lines)).not.toContain('s3cret')
})

test('who did not ask for one gets none, and nobody is asked', async () => {
  const port = await serve(page('<title>Clinic</title>'))
  expect(await previewer().previewOf(message(`http://clinic.test:${port}/`, false), never, log)).toBeNull()
  expect(await previewer().previewOf(message('no address'), never, log)).toBeNull()
  expect(requests).toEqual([])
})

test.each<[string, string, RequestListener]>([
  ['another type', 'not_html', page('<title>x</title>', 'application/json')],
  ['no type', 'not_html', (_, response) => void response.end('<title>x</title>')],
  ['no title', 'no_title', page('<p>nothing')],
  [
    'an error',
    'status_500',
    (_, response) => void response.writeHead(500, { 'content-type': 'text/html' }).end('<title>x</title>'),
  ],
  ['no answer', 'timed_out', () => undefined],
  [
    'an answer that never ends',
    'timed_out',
    (_, response) => void response.writeHead(200, { 'content-type': 'text/html' }).write('<title>x</title>'),
  ],
  ['a broken connection', 'request_failed', (request) => request.socket.destroy()],
  [
    'packed bytes',
    'encoded',
    (_, response) => void response.writeHead(200, { 'content-type': 'text/html', 'content-encoding': 'gzip' }).end('x'),
  ],
  ['endless redirects', 'too_many_redirects', (_, response) => void response.writeHead(302, { location: '/again' }).end()],
  ['a redirect to nowhere', 'bad_redirect', (_, response) => void response.writeHead(302, { location: 'http://[' }).end()],
  [
    'a redirect to a file',
    'address_not_allowed',
    (_, response) => void response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
  ],
  [
    'a redirect inside',
    'address_not_allowed',
    (_, response) => void response.writeHead(302, { location: 'http://router.inside/' }).end(),
  ],
  [
    'a redirect to a literal inside',
    'address_not_allowed',
    (_, response) => void response.writeHead(302, { location: 'http://10.0.0.1/' }).end(),
  ],
])('%s: no preview, within the time, and the log says why without the path', async (_, reason, handler) => {
  const port = await serve(handler)
  const startedAt = performance.now()
  expect(await previewer().previewOf(message(`http://clinic.test:${port}/s3cret?token=s3cret`), never, log)).toBeNull()
  expect(performance.now() - startedAt).toBeLessThan(timeoutMs + 1_500)
  expect(reasons()).toEqual([reason])
  expect(lines.at(-1)).toMatchObject({ host: 'clinic.test' })
  expect(JSON.stringify(lines)).not.toContain('s3cret')
})

test('an address that may not be reached is never connected to', async () => {
  const port = await serve(page('<title>inside</title>'))
  const previews = previewer([])
  expect(await previews.previewOf(message(`http://127.0.0.1:${port}/`), never, log)).toBeNull()
  expect(await previews.previewOf(message(`http://localhost:${port}/`), never, log)).toBeNull()
  expect(await previews.previewOf(message(`http://user:pass@clinic.test:${port}/`), never, log)).toBeNull()
  expect(reasons()).toEqual(['address_not_allowed', 'address_not_allowed', 'address_not_allowed'])
  expect(requests).toEqual([])
})

test('three redirects are followed, relative ones too', async () => {
  const port = await serve((request, response) => {
    const step = Number(request.url?.slice(1))
    if (step < 3) response.writeHead(302, { location: `${step + 1}` }).end()
    else page('<title>there</title>')(request, response)
  })
  expect(await previewer().previewOf(message(`http://clinic.test:${port}/0`), never, log)).toMatchObject({ title: 'there' })
  expect(requests).toEqual(['GET /0', 'GET /1', 'GET /2', 'GET /3'])
})

test('of a huge page the beginning is read, and no more', async () => {
  let written = 0
  const port = await serve((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' })
    const write = () => {
      while (!response.destroyed && written < 64 * 1024 * 1024) {
        written += 65_536
        if (!response.write(written === 65_536 ? `<title>huge</title>${'x'.repeat(65_517)}` : 'x'.repeat(65_536))) {
          response.once('drain', write)
          return
        }
      }
    }
    write()
  })
  expect(await previewer().previewOf(message(`http://clinic.test:${port}/`), never, log)).toMatchObject({ title: 'huge' })
  expect(written).toBeLessThan(32 * 1024 * 1024)
})

test('who is in a hurry does not wait for it', async () => {
  const port = await serve(() => undefined)
  const hurry = new AbortController()
  const previews = previewer()
  const asked = previews.previewOf(message(`http://clinic.test:${port}/`), hurry.signal, log)
  hurry.abort()
  expect(await asked).toBeNull()
  expect(reasons()).toEqual([])
})
