// What the sandbox's server owes a linked device, spoken to bare: messages, receipts, device lists, prekeys, answers.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { deviceListHash } from '../../src/sandbox/server/device-lists.ts'
import { bytesOf, childOf, childrenOf, stanza } from '../../src/sandbox/wire/stanza.ts'
import { newRawDevice, type RawClient } from '../support/raw-client.ts'
import { ackFor, ackOf, asha, isMessage, jid, messageTo, nobody, RawSandbox, shop } from '../support/raw-sandbox.ts'
import { waitFor } from '../support/wait.ts'

let raw: RawSandbox

beforeEach(async () => {
  raw = await RawSandbox.start()
})

afterEach(async () => {
  await raw.stop()
})

describe('delivery', () => {
  it('hands nothing over before `active`, and what was not acked again at the next login', async () => {
    const sender = await raw.online(asha)
    const device = await raw.link(shop)
    const first = await raw.connect(device)
    await first.waitFor('success', (node) => node.tag === 'success')
    sender.send(messageTo(jid(shop), 'M1', [jid(shop, 1)]), messageTo(jid(shop), 'M2', [jid(shop, 1)]))
    await ackOf(sender, 'M2')
    await first.query('w:p', 'get')
    expect(first.received.filter((node) => node.tag === 'message')).toEqual([])
    await first.query('passive', 'set', [stanza('active')])
    const message = await first.waitFor('M1', isMessage('M1'))
    expect(message.attrs).toMatchObject({ from: jid(asha, 1), offline: '0', type: 'text' })
    expect(message.attrs['t']).toMatch(/^\d{10}$/)
    first.send(ackFor(message))
    await first.query('w:p', 'get')
    first.close()

    const second = await raw.connect(device)
    await second.activate()
    const ids = second.received.filter((node) => node.tag === 'message').map((node) => node.attrs['id'])
    expect(ids).not.toContain('M1')
    expect(ids).toContain('M2')
    // A receipt is an ack as well.
    second.send(stanza('receipt', { id: 'M2', to: jid(asha) }))
    await second.query('w:p', 'get')
    second.close()

    const third = await raw.connect(device)
    await third.activate()
    expect(third.received.filter((node) => node.attrs['id'] === 'M2' && node.tag === 'message')).toEqual([])
  })

  it('gives the account’s other devices the message with `recipient`, and never the one that sent it', async () => {
    const sender = await raw.online(shop)
    const sibling = await raw.online(shop)
    sender.send(messageTo(jid(asha), 'M3', [jid(asha), jid(shop), jid(shop, 1), jid(shop, 2)]))
    const copy = await sibling.waitFor('the copy', isMessage('M3'))
    expect(copy.attrs).toMatchObject({ from: jid(shop, 1), recipient: jid(asha) })
    expect((await ackOf(sender, 'M3')).attrs).toMatchObject({ from: jid(asha) })
    await sender.query('w:p', 'get')
    expect(sender.received.filter(isMessage('M3'))).toEqual([])
  })

  it('hands a message that is sent twice to a device once, but a retry answer again', async () => {
    const sender = await raw.online(shop)
    const receiver = await raw.online(asha)
    const message = messageTo(jid(asha), 'M4', [jid(asha, 1)])
    sender.send(message, message)
    await waitFor(
      'two acks',
      () => sender.received.filter((node) => node.tag === 'ack' && node.attrs['id'] === 'M4').length === 2,
    )
    await receiver.query('w:p', 'get')
    expect(receiver.received.filter(isMessage('M4'))).toHaveLength(1)
    const enc = stanza('enc', { v: '2', type: 'pkmsg', count: '1' }, Buffer.from('again'))
    const identity = stanza('device-identity', {}, Buffer.from('identity'))
    sender.send(stanza('message', { to: jid(asha, 1), id: 'M4', type: 'text', device_fanout: 'false' }, [enc, identity]))
    await waitFor('the retry', () => receiver.received.filter(isMessage('M4')).length === 2)
    const retried = receiver.received.findLast(isMessage('M4'))
    expect(childOf(retried, 'enc')?.attrs).toEqual({ v: '2', type: 'pkmsg', count: '1' })
    expect(bytesOf(childOf(retried, 'device-identity')).toString()).toBe('identity')
  })

  it('refuses a message to a number without devices, and one that reaches none', async () => {
    const sender = await raw.online(shop)
    sender.send(messageTo(jid(nobody), 'M5', [jid(nobody)]), messageTo(jid(asha), 'M6', [jid(asha, 7), jid(shop)]))
    expect((await ackOf(sender, 'M5')).attrs['error']).toBe('404')
    expect((await ackOf(sender, 'M6')).attrs['error']).toBe('479')
  })

  it('acks with the hash of both accounts’ devices, in the addressing of the chat', async () => {
    const sender = await raw.online(shop)
    const { lid } = await raw.phones.phone(asha)
    const own = (await raw.phones.phone(shop)).lid
    sender.send(messageTo(jid(asha), 'M7', [jid(asha)]), messageTo(`${lid}@lid`, 'M8', [`${lid}@lid`]))
    expect((await ackOf(sender, 'M7')).attrs['phash']).toBe(deviceListHash([jid(asha), jid(shop), jid(shop, 1)]))
    const lids = [`${lid}@lid`, `${own}@lid`, `${own}:1@lid`]
    expect((await ackOf(sender, 'M8')).attrs['phash']).toBe(deviceListHash(lids))
  })

  it('passes receipts on with their time, a retry to the one device it is meant for', async () => {
    const sender = await raw.online(shop)
    const sibling = await raw.online(shop)
    const receiver = await raw.online(asha)
    receiver.send(
      stanza('receipt', { id: 'M9', to: jid(shop) }),
      stanza('receipt', { id: 'M9', to: jid(shop, 1), type: 'retry' }, [
        stanza('retry', { count: '1', id: 'M9', t: '1', v: '1' }),
      ]),
    )
    const isReceipt = (type?: string) => (node: BinaryNode) => node.tag === 'receipt' && node.attrs['type'] === type
    const delivered = await sender.waitFor('the receipt', isReceipt())
    expect(delivered.attrs).toMatchObject({ id: 'M9', from: jid(asha, 1) })
    expect(delivered.attrs['t']).toMatch(/^\d{10}$/)
    const retry = await sender.waitFor('the retry', isReceipt('retry'))
    expect(childOf(retry, 'retry')?.attrs).toMatchObject({ count: '1', id: 'M9' })
    await sibling.waitFor('the receipt', isReceipt())
    await sibling.query('w:p', 'get')
    expect(sibling.received.filter(isReceipt('retry'))).toEqual([])
  })
})

describe('device lists', () => {
  it('changes are told to the account’s own devices and to those who asked for its devices', async () => {
    const watcher = await raw.online(asha)
    await watcher.query('usync', 'get', [
      stanza('usync', { sid: '1', mode: 'query', last: 'true', index: '0', context: 'message' }, [
        stanza('query', {}, [stanza('devices', { version: '2' })]),
        stanza('list', {}, [stanza('user', { jid: jid(shop) })]),
      ]),
    ])
    const own = await raw.online(shop)
    const added = await watcher.waitFor('the news', (node) => node.attrs['type'] === 'devices')
    expect(childOf(added, 'add')?.attrs['device_hash']).toBe(deviceListHash([jid(shop), jid(shop, 1)]))
    expect(childOf(added, 'add', 'device')?.attrs['jid']).toBe(jid(shop, 1))
    await raw.link(shop)
    const all = [jid(shop), jid(shop, 1), jid(shop, 2)]
    const synced = await own.waitFor('the own list', (node) => node.attrs['type'] === 'account_sync')
    expect(childOf(synced, 'devices')?.attrs['dhash']).toBe(deviceListHash(all))
    expect(childrenOf(childOf(synced, 'devices')).map((device) => device.attrs['jid'])).toEqual(all)
    await raw.phones.unlink(shop, jid(shop, 2))
    const removed = await watcher.waitFor('the removal', (node) => childOf(node, 'remove') !== undefined)
    expect(childOf(removed, 'remove')?.attrs['device_hash']).toBe(deviceListHash([jid(shop), jid(shop, 1)]))
  })
})

describe('prekeys', () => {
  const bundleOf = async (client: RawClient, jidOfDevice: string) => {
    const answer = await client.query('encrypt', 'get', [stanza('key', {}, [stanza('user', { jid: jidOfDevice })])])
    return childOf(answer, 'list', 'user')
  }

  it('are counted, handed out once each in the exact form, and their end is told', async () => {
    const owner = await raw.online(shop)
    const asker = await raw.online(asha)
    expect(childOf(await owner.query('encrypt', 'get', [stanza('count')]), 'count')?.attrs['value']).toBe('0')
    await owner.uploadPrekeys(5)
    expect(childOf(await owner.query('encrypt', 'get', [stanza('count')]), 'count')?.attrs['value']).toBe('5')
    const { lid } = await raw.phones.phone(shop)
    const bundle = await bundleOf(asker, `${lid}:1@lid`)
    expect(bundle?.attrs['jid']).toBe(`${lid}:1@lid`)
    const lengths = (node: BinaryNode | undefined, ...names: string[]) => names.map((name) => bytesOf(childOf(node, name)).length)
    expect(lengths(bundle, 'registration', 'type', 'identity')).toEqual([4, 1, 32])
    expect(lengths(childOf(bundle, 'skey'), 'id', 'value', 'signature')).toEqual([3, 32, 64])
    expect(lengths(childOf(bundle, 'key'), 'id', 'value')).toEqual([3, 32])
    const low = await owner.waitFor('the warning', (node) => node.attrs['type'] === 'encrypt')
    expect(low.attrs['from']).toBe('@s.whatsapp.net')
    expect(childOf(low, 'count')?.attrs['value']).toBe('4')
    const ids = [bytesOf(childOf(bundle, 'key', 'id')).toString('hex')]
    for (let taken = 0; taken < 4; taken += 1) {
      ids.push(bytesOf(childOf(await bundleOf(asker, jid(shop, 1)), 'key', 'id')).toString('hex'))
    }
    expect(new Set(ids).size).toBe(5)
    const last = await bundleOf(asker, jid(shop, 1))
    expect(childOf(last, 'key')).toBeUndefined()
    expect(childOf(last, 'skey')).toBeDefined()
  })

  it('of a wrong signer or of nobody are refused', async () => {
    const client = await raw.online(shop)
    const stranger = newRawDevice().identity
    expect((await client.uploadPrekeys(3, stranger)).attrs['type']).toBe('error')
    expect(childOf(await client.query('encrypt', 'get', [stanza('count')]), 'count')?.attrs['value']).toBe('0')
    expect(childOf(await bundleOf(client, jid(nobody)), 'error')).toBeDefined()
  })
})

describe('queries', () => {
  it('are all answered, unknown ones with an error', async () => {
    const client = await raw.online(shop)
    const ask = async (xmlns: string, type = 'get', content?: BinaryNode[]) => client.query(xmlns, type, content)
    for (const xmlns of ['w:p', 'privacy', 'blocklist', 'abt', 'w']) expect((await ask(xmlns)).attrs['type']).toBe('result')
    expect((await ask('urn:unheard-of')).attrs['type']).toBe('error')
    expect((await ask('usync')).attrs['type']).toBe('error')
    expect((await ask('encrypt')).attrs['type']).toBe('error')
    const media = childOf(await ask('w:m', 'set', [stanza('media_conn')]), 'media_conn')
    expect(media?.attrs).toMatchObject({ ttl: '3600', auth_ttl: '3600', max_buckets: '12' })
    expect(childOf(media, 'host')?.attrs['hostname']).toMatch(/^127\.0\.0\.1:\d+$/)
  })

  it('of contacts echo the number as it was asked', async () => {
    const client = await raw.online(shop)
    const users = [`+${asha}`, `+${asha}@c.us`, `+${nobody}`].map((asked) =>
      stanza('user', {}, [stanza('contact', {}, Buffer.from(asked))]),
    )
    const answer = await client.query('usync', 'get', [
      stanza('usync', { sid: '1', mode: 'query', last: 'true', index: '0', context: 'interactive' }, [
        stanza('query', {}, [stanza('contact')]),
        stanza('list', {}, users),
      ]),
    ])
    const found = childrenOf(childOf(answer, 'usync', 'list')).map((user) => [
      user.attrs['jid'],
      childOf(user, 'contact')?.attrs['type'],
      bytesOf(childOf(user, 'contact')).toString(),
    ])
    expect(found).toEqual([
      [jid(asha), 'in', `+${asha}`],
      [jid(asha), 'in', `+${asha}@c.us`],
      [jid(nobody), 'out', `+${nobody}`],
    ])
  })
})
