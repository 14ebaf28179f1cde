// A session's proxy: everything goes through it, nothing past it, and whatever it does wrong is its own fault.
import { once } from 'node:events'
import { createServer as createHttpsServer, get as httpsGet } from 'node:https'
import type { AddressInfo } from 'node:net'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createGuardPolicy, type GuardPolicy } from '../../src/webhooks/guard-url.ts'
import { guardedLookup, mayConnect } from '../../src/webhooks/guarded-agent.ts'
import { createGuardedConnection } from '../../src/whatsapp/guarded-connection.ts'
import type { ProxyRoute } from '../../src/whatsapp/proxy-tunnel.ts'
import { startTestProxy, type TestProxy } from '../support/proxies.ts'
import { startTestSandbox, type TestSandbox } from '../support/sandbox.ts'
import { selfSigned } from '../support/self-signed.ts'
import { startTamperingProxy, type TamperingProxy } from '../support/tampering-proxy.ts'
import { waitFor } from '../support/wait.ts'
import { loopbackAllowed } from '../support/webhooks.ts'
import { WhatsAppSession } from '../support/whatsapp-session.ts'

const friend = '254711000901'
const secret = 'mango-7'
let sandbox: TestSandbox
/** Stands before the sandbox and counts who comes, by whichever way. */
let door: TamperingProxy
let lastBusiness = 254700000900
beforeAll(async () => {
  sandbox = await startTestSandbox()
  door = await startTamperingProxy(sandbox.url)
  await sandbox.client.addPhone({ phoneNumber: friend })
})
afterAll(async () => {
  await door.close()
  await sandbox.close()
})

const routeTo = (url: string, policy: GuardPolicy = loopbackAllowed): ProxyRoute => ({
  url: new URL(url),
  lookup: guardedLookup(policy),
  mayConnect: (host, port) => mayConnect(host, port, policy),
})

const trusted = getCACertificates('default')

describe.each(['http', 'https', 'socks5', 'socks5h'] as const)('%s', (kind) => {
  let proxy: TestProxy
  let session: WhatsAppSession
  let comersBefore: number
  beforeAll(async () => {
    // The proxy's own certificate; WhatsApp's is looked at beyond it.
    if (kind === 'https') setDefaultCACertificates([...trusted, selfSigned.cert])
    proxy = await startTestProxy(kind)
    session = new WhatsAppSession(door.url)
    session.overrides = { openProxy: () => routeTo(proxy.url()) }
    const business = String((lastBusiness += 1))
    await sandbox.client.addPhone({ phoneNumber: business })
    comersBefore = door.connectionCount
    await session.pair(sandbox, business)
  })
  afterEach(() => proxy.hang(false))
  afterAll(async () => {
    setDefaultCACertificates(trusted)
    await session.close()
    await proxy.close()
  })

  /** Tries once; nobody may have come to the sandbox's door. */
  async function failedTry(url = proxy.url(), policy = loopbackAllowed) {
    await session.close()
    const comers = door.connectionCount
    session.closes.length = 0
    session.connect({ openProxy: () => routeTo(url, policy) })
    const cause = await session.waitClosed()
    expect(cause).toMatchObject({ reason: 'proxy_failed', action: 'retry', isNetwork: false })
    expect(cause.detail).not.toContain(secret)
    expect(door.connectionCount).toBe(comers)
    return cause.detail
  }

  const backThrough = async () => {
    session.overrides = { openProxy: () => routeTo(proxy.url()) }
    await session.reconnect()
  }

  test('messages pass through it', async () => {
    expect(await session.send(friend, `through ${kind}`)).toMatchObject({ kind: 'acked' })
    const texts = (await sandbox.client.messages(friend)).map(({ text }) => text)
    expect(texts.filter((text) => text === `through ${kind}`)).toHaveLength(1)
    expect(door.connectionCount - comersBefore).toBe(proxy.tunnelCount)
    expect(proxy.lastTarget).toBe(new URL(door.url).host)
  })

  test('a wrong password, or none, is the failure of the proxy', async () => {
    const refusal = kind.startsWith('http') ? '407' : 'uthentication'
    expect(await failedTry(proxy.url(`kiosk:not-${secret}`))).toContain(refusal)
    expect(await failedTry(proxy.url(''))).toMatch(/407|no accepted authentication type|as a proxy/)
    await backThrough()
  })

  test('killed, it ends the session, which gets nowhere until the proxy is back', async () => {
    if (!session.client?.isOpen) await backThrough()
    session.closes.length = 0
    await proxy.kill()
    await session.waitClosed()
    expect(await failedTry()).toBe('ECONNREFUSED')
    await proxy.revive()
    await backThrough()
    expect(await session.send(friend, `again through ${kind}`)).toMatchObject({ kind: 'acked' })
  })

  if (kind === 'https') {
    test('one that nobody vouches for is not told where to connect, nor the password', async () => {
      const requests = proxy.requestCount
      setDefaultCACertificates(trusted)
      expect(await failedTry()).toMatch(/SELF_SIGNED|self-signed/)
      expect(proxy.requestCount).toBe(requests)
      setDefaultCACertificates([...trusted, selfSigned.cert])
      await backThrough()
    })
  }

  test('one that hangs is given up, and closing does not wait for it', { timeout: 40_000 }, async () => {
    proxy.hang(true)
    expect(await failedTry()).toMatch(/no answer in time|timed out/)
    session.closes.length = 0
    session.connect({ openProxy: () => routeTo(proxy.url()) })
    await session.close()
    expect((await session.waitClosed()).reason).toBe('closed_by_us')
    proxy.hang(false)
    await backThrough()
  })

  test('an address that may not be reached is not connected to, nor a name that leads there', async () => {
    const tunnels = proxy.tunnelCount
    expect(await failedTry(proxy.url(), createGuardPolicy([]))).toContain('private')
    const inside = createGuardPolicy([], (_name, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]))
    expect(await failedTry(proxy.url().replace('127.0.0.1', 'inside.test'), inside)).toBe('url_not_allowed')
    expect(proxy.tunnelCount).toBe(tunnels)
    await backThrough()
  })

  test('without a trusted lease nothing is written, to the proxy neither', async () => {
    await session.close()
    const tunnels = proxy.tunnelCount
    session.closes.length = 0
    session.mayWrite = false
    session.connect()
    expect((await session.waitClosed()).reason).toBe('lease_lost')
    expect(proxy.tunnelCount).toBe(tunnels)
    session.mayWrite = true
    await backThrough()
    session.closes.length = 0
    session.mayWrite = false
    const outcome = await session.send(friend, 'never seen')
    expect(outcome.kind).toBe('unknown')
    expect((await session.waitClosed()).reason).toBe('lease_lost')
    session.mayWrite = true
    expect((await sandbox.client.messages(friend)).filter(({ text }) => text === 'never seen')).toEqual([])
  })
})

describe('TLS goes through it to the end', () => {
  afterEach(() => setDefaultCACertificates(trusted))

  test.each(['http', 'socks5h'] as const)('%s: a server that is vouched for answers, another is not talked to', async (kind) => {
    const asked: string[] = []
    const server = createHttpsServer(selfSigned, ({ url = '' }, response) => {
      asked.push(url)
      response.end('ok')
    })
    server.listen(0, 'localhost')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const proxy = await startTestProxy(kind)
    const request = async (): Promise<number> => {
      const connection = createGuardedConnection({
        url: `wss://localhost:${port}/`,
        mayWrite: () => true,
        proxy: () => routeTo(proxy.url()),
        onConnected: () => undefined,
        onRefused: () => undefined,
        onProxyFailed: () => undefined,
      })
      const answer = Promise.withResolvers<number>()
      httpsGet({ host: 'localhost', port, agent: connection.agent, timeout: 5_000 }, (response) => {
        response.resume()
        answer.resolve(response.statusCode ?? 0)
      }).on('error', answer.reject)
      return answer.promise.finally(() => connection.destroy())
    }
    try {
      await expect(request()).rejects.toThrow('self-signed')
      expect(asked).toEqual([])
      setDefaultCACertificates([...trusted, selfSigned.cert])
      expect(await request()).toBe(200)
      await waitFor(
        'both connections are gone',
        () => new Promise((resolve) => server.getConnections((_, n) => resolve(n === 0))),
      )
    } finally {
      await proxy.close()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  })
})
