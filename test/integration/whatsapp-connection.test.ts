// The connection's last word: over TCP and TLS alike, nothing is written without a trusted lease, and no server goes unchecked.
import { once } from 'node:events'
import { createServer as createHttpServer, get as httpGet, type Server } from 'node:http'
import { createServer as createHttpsServer, get as httpsGet } from 'node:https'
import type { AddressInfo } from 'node:net'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { createGuardedConnection } from '../../src/whatsapp/guarded-connection.ts'
import { selfSigned } from '../support/self-signed.ts'

const trusted = getCACertificates('default')
const open: { server: Server; destroy: () => void }[] = []
afterEach(async () => {
  setDefaultCACertificates(trusted)
  for (const { server, destroy } of open.splice(0)) {
    destroy()
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
})

/** A server that notes what it is asked, and a request to it through a guarded connection. */
async function rig(protocol: 'ws:' | 'wss:', mayWrite: () => boolean) {
  const asked: string[] = []
  const onRequest = (request: { url?: string | undefined }, response: { end: (text: string) => void }) => {
    asked.push(request.url ?? '')
    response.end('ok')
  }
  const server = protocol === 'wss:' ? createHttpsServer(selfSigned, onRequest) : createHttpServer(onRequest)
  server.listen(0, 'localhost')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let refusedCount = 0
  const url = `${protocol}//localhost:${port}/ws/chat`
  const connection = createGuardedConnection({
    url,
    mayWrite,
    proxy: () => null,
    onProxyFailed: () => undefined,
    onConnected: () => undefined,
    onRefused: () => (refusedCount += 1),
  })
  open.push({ server, destroy: () => connection.destroy() })
  const request = async (): Promise<string> => {
    const get = protocol === 'wss:' ? httpsGet : httpGet
    const options = { host: 'localhost', port, path: '/ws/chat', agent: connection.agent, timeout: 5_000 }
    return new Promise((resolve, reject) => {
      get(options, (response) => {
        response.resume()
        resolve(String(response.statusCode))
      }).on('error', (error) => reject(error))
    })
  }
  return { asked, request, connection, refusals: () => refusedCount }
}

describe.each(['ws:', 'wss:'] as const)('%s', (protocol) => {
  test('writes while the lease is trusted', async () => {
    setDefaultCACertificates([...trusted, selfSigned.cert])
    const { asked, request, refusals } = await rig(protocol, () => true)
    expect(await request()).toBe('200')
    expect(asked).toEqual(['/ws/chat'])
    expect(refusals()).toBe(0)
  })

  test('writes nothing without it and says so at once', async () => {
    setDefaultCACertificates([...trusted, selfSigned.cert])
    const { asked, request, refusals } = await rig(protocol, () => false)
    await expect(request()).rejects.toThrow('lease')
    expect(asked).toEqual([])
    expect(refusals()).toBeGreaterThan(0)
  })

  test('opens nothing after it was destroyed', async () => {
    setDefaultCACertificates([...trusted, selfSigned.cert])
    const { asked, request, connection } = await rig(protocol, () => true)
    connection.destroy()
    await expect(request()).rejects.toBeInstanceOf(Error)
    expect(asked).toEqual([])
  })
})

test('a server whose certificate nobody vouches for is not talked to', async () => {
  const { asked, request } = await rig('wss:', () => true)
  await expect(request()).rejects.toThrow('self-signed')
  expect(asked).toEqual([])
})
