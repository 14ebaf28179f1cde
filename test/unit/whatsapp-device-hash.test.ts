// Device lists are asked for anew when the server's hash says that ours are not what it knows.
import type { WASocket } from '@whiskeysockets/baileys'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { deviceListHash } from '../../src/whatsapp/device-hash.ts'
import { Incoming } from '../../src/whatsapp/incoming.ts'
import { OrderedEvents } from '../../src/whatsapp/ordered-events.ts'
import { PendingAcks } from '../../src/whatsapp/pending-acks.ts'
import { createSessionCaches } from '../../src/whatsapp/session-caches.ts'

const business = '254700000001'
const friend = '254711000001'
const server = 's.whatsapp.net'
const ours = [
  { user: business, device: 0, server },
  { user: business, device: 7, server },
]
const theirs = [
  { user: friend, device: 0, server },
  { user: friend, device: 2, server },
]

function rig() {
  const caches = createSessionCaches()
  const nothing = () => Promise.resolve()
  const incoming = new Incoming({
    acks: new PendingAcks(),
    caches,
    ordered: new OrderedEvents(() => undefined),
    events: { inbound: nothing, receipt: nothing, lateAck: nothing },
    hasInbound: () => Promise.resolve(false),
    log: pino({ level: 'silent' }),
  })
  incoming.attach({ user: { id: `${business}:7@${server}` }, ev: { on: () => undefined } } as unknown as WASocket)
  const learn = () => {
    // The sending device is not in its own list.
    caches.devices.set(business, ours.slice(0, 1))
    caches.devices.set(friend, theirs)
  }
  learn()
  return {
    learn,
    known: () => [business, friend].filter((user) => caches.devices.get(user) !== undefined),
    ack: (attrs: Record<string, string>) => incoming.stanza({ tag: 'ack', attrs: { class: 'message', id: 'A', ...attrs } }),
  }
}

test('the hash is the one other clients compute', () => {
  expect(deviceListHash([])).toBe('2:47DEQpj8')
  expect(deviceListHash([...ours, ...theirs])).toBe(deviceListHash([...theirs, ...ours, ...ours]))
})

test('the hash of what we know changes nothing', () => {
  const { ack, known } = rig()
  ack({ from: `${friend}@${server}`, phash: deviceListHash([...ours, ...theirs]) })
  expect(known()).toEqual([business, friend])
})

test('another hash drops both lists, once', () => {
  const { ack, known, learn } = rig()
  ack({ from: `${friend}@${server}`, phash: '2:abcdefgh' })
  expect(known()).toEqual([])
  learn()
  ack({ from: `${friend}@${server}`, phash: '2:abcdefgh' })
  expect(known()).toEqual([business, friend])
  ack({ from: `${friend}@${server}`, phash: '2:ijklmnop' })
  expect(known()).toEqual([])
})

test('acks without a hash, without a sender and of groups change nothing', () => {
  const { ack, known } = rig()
  ack({ phash: '2:abcdefgh' })
  ack({ from: `${friend}-1400000000@g.us`, phash: '2:abcdefgh' })
  ack({ from: `${friend}@${server}` })
  expect(known()).toEqual([business, friend])
})
