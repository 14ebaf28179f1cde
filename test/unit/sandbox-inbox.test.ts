// What waits for a device: kept in order until acked, by an ack or by a receipt, and recognised when it is sent twice.
import { describe, expect, it } from 'vitest'
import { deviceListHash } from '../../src/sandbox/server/device-lists.ts'
import { Inbox } from '../../src/sandbox/server/inbox.ts'
import { stanza } from '../../src/sandbox/wire/stanza.ts'

const asha = '254711000002@s.whatsapp.net'
const message = (id: string, from = asha) => stanza('message', { id, from })
const receipt = (id: string, type?: string) => stanza('receipt', { id, from: asha, type })
const ack = (tag: string, id: string, to = asha, type?: string) => stanza('ack', { class: tag, id, to, type })
const ids = (inbox: Inbox) => inbox.waiting().map((node) => node.attrs['id'])

describe('an inbox', () => {
  it('keeps what is not acked, oldest first', () => {
    const inbox = new Inbox()
    for (const id of ['A', 'B', 'C']) inbox.add(message(id))
    inbox.acked(ack('message', 'B'))
    expect(ids(inbox)).toEqual(['A', 'C'])
    expect(inbox.size).toBe(2)
  })

  it('settles nothing by an ack of another class, another sender or an unknown id', () => {
    const inbox = new Inbox()
    inbox.add(message('A'))
    inbox.acked(ack('receipt', 'A'))
    inbox.acked(ack('message', 'A', '254711000003@s.whatsapp.net'))
    inbox.acked(ack('message', 'B'))
    inbox.acked(stanza('ack'))
    expect(ids(inbox)).toEqual(['A'])
  })

  it('takes an ack to the account for one to its device', () => {
    const inbox = new Inbox()
    inbox.add(message('A', '254711000002:3@s.whatsapp.net'))
    inbox.acked(ack('message', 'A'))
    expect(inbox.size).toBe(0)
  })

  it('tells receipts of one message apart by their type', () => {
    const inbox = new Inbox()
    inbox.add(receipt('A'))
    inbox.add(receipt('A', 'read'))
    inbox.acked(ack('receipt', 'A', asha, 'read'))
    expect(inbox.waiting().map((node) => node.attrs['type'])).toEqual([undefined])
  })

  it('takes a receipt for an ack of every message it names', () => {
    const inbox = new Inbox()
    for (const id of ['A', 'B', 'C']) inbox.add(message(id))
    inbox.receipted(stanza('receipt', { id: 'A', to: asha }, [stanza('list', {}, [stanza('item', { id: 'C' })])]))
    expect(ids(inbox)).toEqual(['B'])
  })

  it('knows a message of one sender again, and forgets after two thousand others', () => {
    const inbox = new Inbox()
    expect(inbox.isNew('asha', 'A')).toBe(true)
    expect(inbox.isNew('asha', 'A')).toBe(false)
    expect(inbox.isNew('juma', 'A')).toBe(true)
    for (let count = 0; count < 2_000; count += 1) inbox.isNew('asha', `other ${count}`)
    expect(inbox.isNew('asha', 'A')).toBe(true)
  })
})

describe('the hash of a device list', () => {
  // sha256('254700000001.0:0@s.whatsapp.net254700000001.0:3@s.whatsapp.net'), made with `printf … | sha256sum`.
  it('is the first six bytes of the digest of the sorted addresses', () => {
    const list = ['254700000001:3@s.whatsapp.net', '254700000001@s.whatsapp.net']
    expect(deviceListHash(list)).toBe('2:v9rgdTQT')
    expect(deviceListHash(list.toReversed())).toBe(deviceListHash(list))
  })
})
