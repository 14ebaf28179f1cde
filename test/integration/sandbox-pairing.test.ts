// Linking a device to the sandbox, spoken to bare: what it offers, demands and refuses until a device is in.
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SandboxProblem } from '../../scripts/support/sandbox-client.ts'
import { bytesOf, childOf, childrenOf, stanza } from '../../src/sandbox/wire/stanza.ts'
import { newRawDevice, RawClient } from '../support/raw-client.ts'
import { asha, RawSandbox, shop } from '../support/raw-sandbox.ts'

let raw: RawSandbox

beforeEach(async () => {
  raw = await RawSandbox.start()
})

afterEach(async () => {
  await raw.stop()
})

describe('pairing', () => {
  it('offers six refs in an iq with a single child, from a JID without a user', async () => {
    const client = await raw.connect()
    const offer = await client.waitFor('the refs', (node) => node.tag === 'iq')
    expect(offer.attrs).toMatchObject({ from: '@s.whatsapp.net', type: 'set' })
    expect(childrenOf(offer).map((child) => child.tag)).toEqual(['pair-device'])
    const refs = childrenOf(childOf(offer, 'pair-device')).map((ref) => bytesOf(ref).toString())
    expect(new Set(refs).size).toBe(6)
  })

  it('refuses a device that signs with a key of somebody else', async () => {
    const failed = RawClient.pair(raw.sandbox.url, (qr) => raw.phones.scan(shop, qr), { forgedSignature: true })
    await expect(failed).rejects.toBeInstanceOf(SandboxProblem)
    expect((await raw.phones.phone(shop)).linkedDevices).toEqual([])
  })

  it('refuses a registration whose signed prekey is not signed by its identity', async () => {
    const client = await raw.connect(newRawDevice(), { forgedPrekey: true })
    const failure = await client.waitFor('the failure', (node) => node.tag === 'failure')
    expect(failure.attrs['reason']).toBe('400')
    await client.closed()
  })

  it('answers pings while a code is shown, and nothing else before login', async () => {
    const client = await raw.connect()
    await client.waitFor('the refs', (node) => childOf(node, 'pair-device') !== undefined)
    client.send(stanza('iq', { id: 'early', xmlns: 'encrypt', type: 'get', to: '@s.whatsapp.net' }, [stanza('count')]))
    await client.query('w:p', 'get')
    expect(client.received.filter((node) => node.attrs['id'] === 'early')).toEqual([])
  })

  it('ends with 515, and with 401 for a device that was unlinked before its first login', async () => {
    const device = await raw.link(shop)
    await raw.phones.unlink(shop)
    const client = await raw.connect(device)
    expect((await client.waitFor('the failure', (node) => node.tag === 'failure')).attrs['reason']).toBe('401')
    await client.closed()
  })

  it('refuses a login with another noise key than the device was linked with', async () => {
    const device = await raw.link(shop)
    const client = await raw.connect({ ...newRawDevice(), user: device.user, device: device.device })
    expect((await client.waitFor('the failure', (node) => node.tag === 'failure')).attrs['reason']).toBe('401')
  })
})

describe('frames', () => {
  it('takes several in one WebSocket message, and one in many', async () => {
    const client = await raw.online(shop)
    const ping = (id: string) => stanza('iq', { id, xmlns: 'w:p', type: 'get', to: '@s.whatsapp.net' })
    client.send(ping('one'), ping('two'))
    client.sendInPieces(ping('three'))
    await client.waitFor('the last answer', (node) => node.attrs['id'] === 'three')
    const answered = client.received.map((node) => node.attrs['id'])
    expect(answered).toEqual(expect.arrayContaining(['one', 'two', 'three']))
  })

  it('cuts a connection that sends garbage, and only that one', async () => {
    const client = await raw.online(shop)
    const other = await raw.online(asha)
    client.sendBytes(Buffer.from('000010ffffffffffffffffffffffffffffffff', 'hex'))
    await client.closed()
    await other.query('w:p', 'get')
    expect(other.isClosed).toBe(false)
  })
})

describe('the port', () => {
  it('takes WebSockets on /ws/chat alone, with routing information in the query', async () => {
    await expect(RawClient.connect(raw.sandbox.url.replace('/ws/chat', '/ws/other'))).rejects.toThrow('404')
    const client = await RawClient.connect(`${raw.sandbox.url}?ED=CAIIBQ`)
    await client.waitFor('the refs', (node) => childOf(node, 'pair-device') !== undefined)
    client.close()
  })

  it('lives on after an upgrade to nowhere, one that is broken off, and frames that are none', async () => {
    const { port } = raw.sandbox
    const upgrade = (target: string) =>
      `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n'
    for (const [target, answer] of [
      ['//', '404'],
      ['/ws/chat', '101'],
      ['/elsewhere', '404'],
      ['*', '404'],
    ] as const) {
      const socket = connectTcp(port, '127.0.0.1')
      socket.write(upgrade(target))
      const [head] = (await once(socket, 'data')) as [Buffer]
      expect(head.toString()).toContain(`HTTP/1.1 ${answer} `)
      socket.resetAndDestroy()
    }
    const client = await raw.connect()
    client.sendBytes(Buffer.from('ffffff', 'hex'))
    const other = await raw.online(asha)
    expect((await other.query('w:p', 'get')).attrs['type']).toBe('result')
  })
})
