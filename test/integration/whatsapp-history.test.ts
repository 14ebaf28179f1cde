// What Baileys fetches beside the socket: through the session's proxy, bounded in time and size, and only what is needed.
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { initAuthCreds, makeWASocket, proto } from '@whiskeysockets/baileys'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { guardedLookup, mayConnect } from '../../src/webhooks/guarded-agent.ts'
import { baileysOptions } from '../../src/whatsapp/baileys-options.ts'
import type { ProxyRoute } from '../../src/whatsapp/proxy-tunnel.ts'
import { createSessionCaches } from '../../src/whatsapp/session-caches.ts'
import { createSideDownloads, type SideDownloads } from '../../src/whatsapp/side-downloads.ts'
import { startTestProxy, type TestProxy } from '../support/proxies.ts'
import { selfSigned } from '../support/self-signed.ts'
import { waitFor } from '../support/wait.ts'
import { loopbackAllowed } from '../support/webhooks.ts'

const { HistorySyncType } = proto.HistorySync
const own = '254700000001@s.whatsapp.net'
const trusted = getCACertificates('default')
let paths: string[]
let server: ReturnType<typeof createServer>
let proxy: TestProxy
let downloads: SideDownloads
let origin: string

beforeAll(() => setDefaultCACertificates([...trusted, selfSigned.cert]))
afterAll(() => setDefaultCACertificates(trusted))
beforeEach(async () => {
  paths = []
  server = createServer(selfSigned, ({ url = '' }, response) => {
    paths.push(url)
    if (url.startsWith('/silent')) return
    response.write(Buffer.alloc(1_024))
    if (url.startsWith('/whole')) response.end()
    if (url.startsWith('/endless')) setInterval(() => response.write(Buffer.alloc(16)), 20).unref()
    if (url.startsWith('/large')) response.end(Buffer.alloc(100_000))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  proxy = await startTestProxy('socks5')
})
afterEach(async () => {
  downloads.destroy()
  await proxy.close()
  server.closeAllConnections()
  server.close()
})

const throughProxy = (): ProxyRoute => ({
  url: new URL(proxy.url()),
  lookup: guardedLookup(loopbackAllowed),
  mayConnect: (host, port) => mayConnect(host, port, loopbackAllowed),
})
const limits = { stepMs: 400, totalMs: 30_000, maxBytes: 10_000 }
const fetched = async (path: string) => {
  const { dispatcher } = downloads
  const response = await fetch(`${origin}${path}`, { dispatcher } as unknown as RequestInit)
  return (await response.arrayBuffer()).byteLength
}
const why = (error: unknown) => {
  const { cause, message } = error as Error
  return cause instanceof Error ? `${cause.name} ${cause.message}` : message
}

test('goes through the proxy of the session, and not past it when it is away', async () => {
  downloads = createSideDownloads(throughProxy, limits)
  expect(await fetched('/whole')).toBe(1_024)
  expect([proxy.tunnelCount, proxy.lastTarget]).toEqual([1, new URL(origin).host])
  await proxy.kill()
  await expect(fetched('/whole')).rejects.toThrow('fetch failed')
  expect(paths).toEqual(['/whole'])
})

test('without a proxy goes straight there, and never without TLS', async () => {
  downloads = createSideDownloads(() => null, limits)
  expect(await fetched('/whole')).toBe(1_024)
  expect(proxy.requestCount).toBe(0)
  origin = origin.replace('https:', 'http:')
  const failure = await fetched('/whole').catch(why)
  expect(failure).toContain('only https:')
})

test.each([
  { path: '/silent', reason: /HeadersTimeout/ },
  { path: '/stalling', reason: /BodyTimeout/ },
  { path: '/endless', reason: /took too long/ },
  { path: '/large', reason: /exceeded/ },
])('$path is given up', async ({ path, reason }) => {
  downloads = createSideDownloads(throughProxy, path === '/endless' ? { ...limits, totalMs: 1_000 } : limits)
  expect(await fetched(path).catch(why)).toMatch(reason)
  await waitFor('no connection is left', () => new Promise((resolve) => server.getConnections((_, n) => resolve(n === 0))))
})

test('the end of the socket ends what is under way', async () => {
  downloads = createSideDownloads(throughProxy, { ...limits, stepMs: 60_000, totalMs: 60_000 })
  const download = fetched('/silent').catch(why)
  await waitFor('it is under way', () => paths.length === 1)
  downloads.destroy()
  expect(await download).toMatch(/destroyed|closed|aborted/)
})

test('of the history only the part that tells LIDs and privacy tokens is fetched, through the proxy', async () => {
  downloads = createSideDownloads(throughProxy, limits)
  const creds = { ...initAuthCreds(), me: { id: own.replace('@', ':1@'), name: 'Clinic' } }
  const keys = { get: async () => ({}), set: async () => undefined }
  const socket = makeWASocket(
    baileysOptions({
      auth: { creds, keys },
      getMessage: async () => undefined,
      config: { whatsappUrl: 'ws://127.0.0.1:9/ws/chat', whatsappVersion: undefined, markOnline: false },
      caches: createSessionCaches(),
      dispatcher: downloads.dispatcher,
      log: pino({ level: 'silent' }),
    }),
  )
  socket.ws.on('error', () => undefined)
  for (const [name, syncType] of Object.entries(HistorySyncType).filter(([, value]) => typeof value === 'number')) {
    // Only Baileys' fallback looks at `url`: it names the host, which is WhatsApp's otherwise.
    const place = { url: `${origin}/`, directPath: `/whole/${name}` }
    const notification = { syncType, progress: 10, mediaKey: Buffer.alloc(32, 1), ...place }
    const { HISTORY_SYNC_NOTIFICATION: type } = proto.Message.ProtocolMessage.Type
    const message = { protocolMessage: { type, historySyncNotification: notification } }
    const key = { fromMe: true, remoteJid: own, id: name }
    // What it holds cannot be decrypted; that it was asked for is what counts.
    await socket.upsertMessage({ key, messageTimestamp: 1, message } as never, 'notify').catch(() => undefined)
  }
  await socket.end(undefined)
  expect(paths.toSorted()).toEqual(['/whole/INITIAL_BOOTSTRAP', '/whole/NON_BLOCKING_DATA'])
  expect(proxy.tunnelCount).toBeGreaterThan(0)
})
