// The small pure parts of the WhatsApp client: caches, acks, receipts, contact answers, logs, the console.
import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import type { BinaryNode } from '@whiskeysockets/baileys'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createLog } from '../../src/platform/log.ts'
import { createBaileysLog } from '../../src/whatsapp/baileys-log.ts'
import { BoundedCache } from '../../src/whatsapp/bounded-cache.ts'
import { lookUpContacts } from '../../src/whatsapp/contact-lookup.ts'
import { guardListeners, isBaileysFrameError } from '../../src/whatsapp/library-faults.ts'
import { OrderedEvents } from '../../src/whatsapp/ordered-events.ts'
import { PendingAcks } from '../../src/whatsapp/pending-acks.ts'
import { toReceiptUpdate } from '../../src/whatsapp/receipts.ts'
import { createSessionCaches } from '../../src/whatsapp/session-caches.ts'

describe('bounded cache', () => {
  afterEach(() => vi.useRealTimers())

  test('forgets the least recently used first', () => {
    const cache = new BoundedCache({ maxCount: 2 })
    cache.set('a', 1)
    cache.set('b', 2)
    expect(cache.get('a')).toBe(1)
    cache.set('c', 3)
    expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([1, undefined, 3])
    expect(cache.size).toBe(2)
  })

  test('forgets the old, and keeps null apart from nothing', () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const cache = new BoundedCache({ maxCount: 10, ttlMs: 1_000 })
    cache.set('long', 1)
    cache.set('short', null, 10)
    expect(cache.get('short')).toBeNull()
    vi.advanceTimersByTime(500)
    expect([cache.get('long'), cache.get('short')]).toEqual([1, undefined])
    vi.advanceTimersByTime(500)
    expect(cache.get('long')).toBeUndefined()
  })
})

describe('pending acks', () => {
  test('an ack settles its own send alone', async () => {
    const acks = new PendingAcks()
    const [a, b] = [acks.expect('A', 5_000), acks.expect('B', 5_000)]
    expect(acks.acked('B', 479, 7)).toBe('taken')
    expect(acks.acked('A', null, 8)).toBe('taken')
    expect(await a).toEqual({ kind: 'acked', at: 8 })
    expect(await b).toEqual({ kind: 'error', error: 479 })
    expect(acks.acked('A', null, 9)).toBe('unasked')
  })

  test('one that comes too late is told once, an error that comes too late never', async () => {
    const acks = new PendingAcks()
    expect(await acks.expect('A', 1)).toMatchObject({ kind: 'unknown' })
    expect(acks.acked('A', 400, 1)).toBe('unasked')
    expect(acks.acked('A', null, 1)).toBe('late')
    expect(acks.acked('A', null, 1)).toBe('unasked')
  })

  test('the end of the socket settles all, at once and from then on', async () => {
    const acks = new PendingAcks()
    const waiting = acks.expect('A', 60_000)
    acks.closeAll('gone')
    expect(await waiting).toEqual({ kind: 'unknown', reason: 'gone' })
    expect(await acks.expect('B', 60_000)).toEqual({ kind: 'unknown', reason: 'gone' })
  })
})

describe('receipts', () => {
  const me = { id: '254700000001:3@s.whatsapp.net', lid: '9001:3@lid' }
  const receipt = (attrs: Record<string, string>, ids: string[] = []): BinaryNode => ({
    tag: 'receipt',
    attrs: { id: 'A', from: '254700000002@s.whatsapp.net', t: '100', ...attrs },
    ...(ids.length > 0
      ? { content: [{ tag: 'list', attrs: {}, content: ids.map((id) => ({ tag: 'item', attrs: { id } })) }] }
      : {}),
  })

  test.each([
    [{}, 'delivered'],
    [{ type: 'inactive' }, 'delivered'],
    [{ type: 'read' }, 'read'],
    [{ type: 'played' }, 'played'],
    [{ from: '9002@lid', type: 'read' }, 'read'],
    [{ from: '254700000002:4@s.whatsapp.net' }, 'delivered'],
  ])('%o is %s', (attrs, status) => {
    expect(toReceiptUpdate(receipt(attrs), me)).toEqual({ whatsappIds: ['A'], status, at: 100_000 })
  })

  test.each([
    { type: 'retry' },
    { type: 'read-self' },
    { type: 'sender' },
    { type: 'server-error' },
    { from: '254700000001@s.whatsapp.net' },
    { from: '9001:0@lid' },
    { from: '1203630@g.us', participant: '254700000002@s.whatsapp.net' },
    { from: 'status@broadcast' },
    { from: '' },
    { id: '' },
  ])('%o says nothing of ours', (attrs) => {
    expect(toReceiptUpdate(receipt(attrs), me)).toBeNull()
  })

  test('a list names all its messages', () => {
    expect(toReceiptUpdate(receipt({}, ['B', 'C']), me)?.whatsappIds).toEqual(['A', 'B', 'C'])
  })

  test('whole seconds never put a fresh receipt before its send, and nonsense counts as now', () => {
    expect(toReceiptUpdate(receipt({ t: '100' }), me, 100_900)?.at).toBe(100_900)
    expect(toReceiptUpdate(receipt({ t: 'x' }), me, 5)?.at).toBe(5)
  })
})

describe('contact lookup', () => {
  type Answers = { jid: string; exists: boolean }[] | undefined
  const socketOf = (answer: (jids: string[]) => Answers, asked: string[][] = []) =>
    ({
      onWhatsApp: (...jids: string[]) => {
        asked.push(jids)
        return Promise.resolve(answer(jids))
      },
    }) as unknown as Parameters<typeof lookUpContacts>[0]

  test('answers in order, and asks again only for what is not known', async () => {
    const asked: string[][] = []
    const socket = socketOf((jids) => jids.filter((jid) => !jid.startsWith('999')).map((jid) => ({ jid, exists: true })), asked)
    const { contacts } = createSessionCaches()
    const look = () => lookUpContacts(socket, contacts, ['2547001', '9990000', '2547002'])
    const expected = [
      { phoneNumber: '2547001', exists: true },
      { phoneNumber: '9990000', exists: false },
      { phoneNumber: '2547002', exists: true },
    ]
    expect(await look()).toMatchObject(expected)
    expect(await look()).toMatchObject(expected)
    expect(asked).toHaveLength(1)
  })

  test('WhatsApp’s own spelling of a number is where to send to', async () => {
    const respelt = socketOf(() => [{ jid: '551187654321@s.whatsapp.net', exists: true }])
    const { contacts } = createSessionCaches()
    expect(await lookUpContacts(respelt, contacts, ['5511987654321'])).toMatchObject([
      { phoneNumber: '5511987654321', exists: true, jid: '551187654321@s.whatsapp.net' },
    ])
  })

  test('among many, a respelt one is asked for alone to be certain', async () => {
    const socket = socketOf((jids) =>
      jids.map((jid) => ({ jid: jid.startsWith('55119') ? '551187654321@s.whatsapp.net' : jid, exists: !jid.startsWith('999') })),
    )
    const { contacts } = createSessionCaches()
    expect(await lookUpContacts(socket, contacts, ['5511987654321', '2547001', '9990000'])).toMatchObject([
      { exists: true, jid: '551187654321@s.whatsapp.net' },
      { exists: true, jid: '2547001@s.whatsapp.net' },
      { exists: false },
    ])
  })

  test('no answer is no answer, and is not remembered', async () => {
    const { contacts } = createSessionCaches()
    expect(
      await lookUpContacts(
        socketOf(() => undefined),
        contacts,
        ['2547001'],
      ),
    ).toBeNull()
    expect(contacts.size).toBe(0)
  })

  test('many numbers go in several queries', async () => {
    const asked: string[][] = []
    const socket = socketOf((jids) => jids.map((jid) => ({ jid, exists: true })), asked)
    const numbers = Array.from({ length: 250 }, (_, i) => String(254_700_000_000 + i))
    expect(await lookUpContacts(socket, createSessionCaches().contacts, numbers)).toHaveLength(250)
    expect(asked.map((jids) => jids.length)).toEqual([100, 100, 50])
  })
})

describe('library faults', () => {
  test('a rejecting listener is caught with its socket, a bad frame told apart', async () => {
    const ws = new EventEmitter()
    const seen: string[] = []
    const rejecting = (message: string) => (): unknown => Promise.reject(new Error(message))
    ws.on('message', rejecting('frame'))
    ws.on('CB:x', rejecting('stanza'))
    ws.on('CB:x', () => {
      throw new Error('thrown')
    })
    ws.on('CB:x', (value) => seen.push(`heard ${String(value)}`))
    const note = (kind: string) => (error: unknown) => seen.push(`${kind} ${(error as Error).message}`)
    guardListeners(ws, { onBadFrame: note('bad'), onListenerFailed: note('failed') })
    ws.emit('message')
    ws.emit('CB:x', 1)
    await Promise.resolve()
    expect(seen.toSorted()).toEqual(['bad frame', 'failed stanza', 'failed thrown', 'heard 1'])
  })

  test('messages are handled in turn: a short one does not overtake a long one', async () => {
    const ws = new EventEmitter()
    const seen: string[] = []
    const handle = async (name: string, wait: Promise<void>) => {
      seen.push(`begin ${name}`)
      await wait
      seen.push(`end ${name}`)
      if (name === 'first') throw new Error('first')
    }
    ws.on('CB:message', handle as (...args: unknown[]) => void)
    guardListeners(ws, { onBadFrame: () => undefined, onListenerFailed: () => seen.push('failed') })
    const gate = Promise.withResolvers<void>()
    ws.emit('CB:message', 'first', gate.promise)
    ws.emit('CB:message', 'second', Promise.resolve())
    gate.resolve()
    await vi.waitFor(() => expect(seen).toHaveLength(5))
    expect(seen).toEqual(['begin first', 'end first', 'failed', 'begin second', 'end second'])
  })

  test('only what Baileys throws is forgiven', () => {
    expect(isBaileysFrameError(Object.assign(new Error('Connection Closed'), { isBoom: true }))).toBe(true)
    expect(isBaileysFrameError(new Error('Unsupported state or unable to authenticate data'))).toBe(true)
    for (const other of [new Error('Connection Closed'), new TypeError('x'), 'Connection Closed', undefined, { isBoom: true }]) {
      expect(isBaileysFrameError(other)).toBe(false)
    }
  })
})

describe('ordered events', () => {
  test('handlers run one after the other, also after one that failed', async () => {
    const failures: unknown[] = []
    const ordered = new OrderedEvents((error) => failures.push(error))
    const order: number[] = []
    const gate = Promise.withResolvers<void>()
    const first = ordered.run(async () => {
      await gate.promise
      order.push(1)
    })
    const second = ordered.run(() => Promise.reject(new Error('no')))
    const third = ordered.run(async () => void order.push(3))
    gate.resolve()
    await first
    await expect(second).rejects.toThrow('no')
    await third
    expect(order).toEqual([1, 3])
    expect(failures).toHaveLength(1)
  })

  test('after the end nothing is handled any more', async () => {
    const ordered = new OrderedEvents(() => undefined)
    await ordered.end(10)
    await expect(ordered.run(() => Promise.resolve())).rejects.toMatchObject({ code: 'socket_closed' })
  })
})

describe('what Baileys logs', () => {
  test('is its sentence and an error’s message: no object, no number, no multi-line text', async () => {
    const stream = new PassThrough()
    const printed: string[] = []
    stream.on('data', (chunk: Buffer) => printed.push(chunk.toString()))
    const log = createBaileysLog(createLog({ process: 'test', level: 'trace', destination: stream })).child({ class: 'socket' })
    expect(log.level).not.toMatch(/trace|debug/)
    log.trace({ plaintext: 'siri' }, 'siri')
    log.debug({ plaintext: 'siri' }, 'siri')
    log.info({ plaintext: 'siri' }, 'siri')
    log.warn({ node: '<message>siri</message>', key: Buffer.from('siri') }, 'failed for 254712345678\nsiri')
    log.error({ err: new Error('Bad MAC for 254712345678'), msg: { text: 'siri' } }, 'in handling message')
    const text = printed.join('')
    expect(printed).toHaveLength(2)
    expect(text).toContain('Bad MAC for …5678')
    expect(text).not.toContain('siri')
    expect(text).not.toContain('254712345678')
  })
})
