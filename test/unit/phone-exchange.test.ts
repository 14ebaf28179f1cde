// Two phones talk with real Signal encryption over a network in memory that may spoil what it carries.
import { pino } from 'pino'
import { beforeEach, describe, expect, it } from 'vitest'
import type { BinaryNode } from '@whiskeysockets/baileys'
import { quietConsole } from '../../src/platform/quiet-console.ts'
import { PhoneBook } from '../../src/sandbox/phones/phone-book.ts'
import type { Phone } from '../../src/sandbox/phones/phone.ts'
import { Faults } from '../../src/sandbox/server/faults.ts'
import { createStats, type Stats } from '../../src/sandbox/server/stats.ts'
import { createInMemoryNetwork, type InMemoryNetwork } from '../support/in-memory-network.ts'
import { waitFor } from '../support/wait.ts'

const log = pino({ level: 'silent' })
quietConsole(log)
const settings = { autoRead: false, autoReply: undefined }
let network: InMemoryNetwork
let stats: Stats
let asha: Phone
let baraka: Phone

beforeEach(() => {
  network = createInMemoryNetwork()
  stats = createStats()
  const phones = new PhoneBook({ network, faults: new Faults(), stats, log })
  asha = phones.create({ phoneNumber: '254700000001', name: 'Asha', settings: { ...settings } })
  baraka = phones.create({ phoneNumber: '254700000002', name: 'Baraka', settings: { ...settings } })
})

const write = (from: Phone, to: Phone, text: string, extra: { id?: string; addressing?: 'pn' | 'lid' } = {}) =>
  from.send({ to: to.account.phoneNumber, addressing: 'pn', content: { kind: 'text', text }, ...extra })
const texts = (phone: Phone) => phone.chats.list().map((message) => message.text)
const shows = (phone: Phone, count: number) =>
  waitFor(`${phone.account.name} shows ${count} messages`, () => phone.chats.list().length === count)
const statusOf = (phone: Phone, id: string) => phone.chats.find(id, true)?.status

describe('two phones', () => {
  it('exchange messages both ways, and the sender learns of delivery and reading', async () => {
    const id = await write(asha, baraka, 'Habari?')
    await waitFor('delivered', () => statusOf(asha, id) === 'delivered')
    await write(baraka, asha, 'Nzuri!')
    await shows(asha, 2)
    expect(texts(asha)).toEqual(['Habari?', 'Nzuri!'])
    expect(texts(baraka)).toEqual(['Habari?', 'Nzuri!'])
    baraka.read(id)
    await waitFor('read', () => statusOf(asha, id) === 'read')
    expect(baraka.chats.unreadCount).toBe(0)
  })

  it('use one Signal session whichever way they are addressed', async () => {
    await write(asha, baraka, 'by number')
    await shows(baraka, 1)
    await write(baraka, asha, 'by LID', { addressing: 'lid' })
    await shows(asha, 2)
    await write(asha, baraka, 'by LID too', { addressing: 'lid' })
    await shows(baraka, 3)
    expect(encryptionTypes()).toEqual(['pkmsg', 'msg', 'msg'])
    expect(stats.decryptFailures).toBe(0)
  })

  it('never carry readable text', async () => {
    await write(asha, baraka, 'a secret of two people')
    await shows(baraka, 1)
    const carried = network.written.flatMap(bytesIn)
    expect(carried.some((bytes) => bytes.includes('a secret'))).toBe(false)
  })

  it('show a message that arrives twice under one id once, and count it', async () => {
    await write(asha, baraka, 'first', { id: 'SAMEID01' })
    await write(asha, baraka, 'first', { id: 'SAMEID01' })
    await waitFor('a duplicate', () => stats.duplicates === 1)
    expect(baraka.chats.list()).toMatchObject([{ id: 'SAMEID01', duplicatesSeen: 1 }])
    expect(baraka.chats.counts).toMatchObject({ frames: 2, distinctIds: 1, duplicates: 1 })
  })

  it('take the very same bytes a second time as a duplicate, not as a failure', async () => {
    const seen: BinaryNode[] = []
    network.tamper = (stanza) => {
      if (stanza.tag === 'message') seen.push(stanza)
      return stanza
    }
    await write(asha, baraka, 'once')
    await shows(baraka, 1)
    if (seen[0]) baraka.deliver(seen[0])
    await waitFor('a duplicate', () => stats.duplicates === 1)
    expect(stats.decryptFailures).toBe(0)
  })
})

describe('a spoiled message', () => {
  it('is asked for again, answered once on a new session, and keeps its place', async () => {
    await write(asha, baraka, 'before #1')
    await shows(baraka, 1)
    await write(baraka, asha, 'hello')
    await shows(asha, 2)
    spoilNext()
    const id = await write(asha, baraka, 'spoiled #2')
    await write(asha, baraka, 'after #3')
    await shows(baraka, 4)
    expect(texts(baraka)).toEqual(['before #1', 'hello', 'spoiled #2', 'after #3'])
    expect(baraka.chats.find(id, false)).toMatchObject({ duplicatesSeen: 0 })
    expect(stats).toMatchObject({ decryptFailures: 1, orderViolations: 0, duplicates: 0 })
    const answers = network.written.filter((stanza) => stanza.attrs['device_fanout'] === 'false')
    expect(answers).toHaveLength(1)
    expect(answers[0]?.attrs['id']).toBe(id)
  })

  it('does not spoil the session for those after it', async () => {
    await write(asha, baraka, 'one')
    await shows(baraka, 1)
    await write(baraka, asha, 'two')
    await shows(asha, 2)
    network.tamper = (stanza) => (stanza.tag === 'receipt' ? undefined : spoil(stanza))
    await write(asha, baraka, 'lost for ever')
    await waitFor('a failure', () => stats.decryptFailures === 1)
    network.tamper = (stanza) => stanza
    await write(asha, baraka, 'three')
    await shows(baraka, 3)
    expect(texts(baraka)).toEqual(['one', 'two', 'three'])
    expect(baraka.chats.waitingCount).toBe(1)
  })

  it('brings keys from its second retry receipt on, and none after the fifth', async () => {
    const spoiled = await sendSpoiled('never readable')
    for (let count = 2; count <= 7; count += 1) {
      baraka.deliver(spoiled)
      await waitFor(`failure ${count}`, () => stats.decryptFailures === count)
    }
    expect(retries().map((stanza) => childTags(stanza).includes('keys'))).toEqual([false, true, true, true, true])
  })

  it('heals with the keys of the retry receipt alone', async () => {
    const spoiled = await sendSpoiled('stubborn')
    network.prekeyBundles = () => new Map()
    network.tamper = (stanza) => stanza
    baraka.deliver(spoiled)
    await shows(baraka, 1)
    expect(texts(baraka)).toEqual(['stubborn'])
    expect(retries()).toHaveLength(2)
  })

  it('is not healed with keys that nobody signed', async () => {
    const spoiled = await sendSpoiled('for whom?')
    network.prekeyBundles = () => new Map()
    let forged: BinaryNode | undefined
    network.tamper = (stanza) => {
      if (stanza.attrs['type'] !== 'retry') return stanza
      forged = replaceIn(stanza, 'signature', Buffer.alloc(64, 7))
      return forged
    }
    baraka.deliver(spoiled)
    await waitFor('the forged receipt', () => forged)
    await write(asha, baraka, 'next')
    await shows(baraka, 1)
    expect(texts(baraka)).toEqual(['next'])
  })
})

describe('habits', () => {
  it('read and answer by themselves, and never answer an answer', async () => {
    asha.settings.autoReply = 'I am away: {text}'
    baraka.settings.autoReply = 'Me too'
    baraka.settings.autoRead = true
    const id = await write(asha, baraka, 'Hi')
    await shows(asha, 2)
    await waitFor('read', () => statusOf(asha, id) === 'read')
    expect(texts(asha)).toEqual(['Hi', 'Me too'])
    expect(network.written.filter((stanza) => stanza.tag === 'message')).toHaveLength(2)
  })

  it('change what is shown by reaction, edit and deletion, each by who may', async () => {
    const to = (phone: Phone) => ({ to: phone.account.phoneNumber, addressing: 'pn' as const })
    const id = await write(asha, baraka, 'Thre o’clock')
    await shows(baraka, 1)
    await baraka.send({ ...to(asha), content: { kind: 'reaction', targetId: id, emoji: '👍' } })
    await asha.send({ ...to(baraka), content: { kind: 'edit', targetId: id, text: 'Three o’clock' } })
    await waitFor('the edit', () => texts(baraka)[0] === 'Three o’clock' && asha.chats.find(id, true)?.reactions !== undefined)
    expect(asha.chats.find(id, true)?.reactions).toEqual({ '254700000002': '👍' })
    await asha.send({ ...to(baraka), content: { kind: 'delete', targetId: id } })
    await waitFor('the deletion', () => baraka.chats.find(id, false)?.deleted === true)
    expect(texts(baraka)).toEqual([''])
    await expect(baraka.send({ ...to(asha), content: { kind: 'edit', targetId: id, text: 'x' } })).rejects.toThrow(
      'no such message',
    )
  })
})

it('a book of phones is the same after it was saved and restored', async () => {
  await write(asha, baraka, 'before the restart #1')
  await shows(baraka, 1)
  await write(baraka, asha, 'and back')
  await shows(asha, 2)
  const [part] = network.parts
  if (!part) throw new Error('nothing is kept')
  const saved = structuredClone([...(part.snapshot() as Iterable<unknown>)])
  network = createInMemoryNetwork({ phones: saved })
  const phones = new PhoneBook({ network, faults: new Faults(), stats, log })
  const [asha2, baraka2] = phones.list()
  if (!asha2 || !baraka2) throw new Error('phones are missing')
  await write(asha2, baraka2, 'after the restart #2')
  await shows(baraka2, 3)
  expect(texts(baraka2)).toEqual(['before the restart #1', 'and back', 'after the restart #2'])
  expect(encryptionTypes()).toEqual(['msg'])
  expect(stats.orderViolations).toBe(0)
})

function encryptionTypes(): (string | undefined)[] {
  const messages = network.written.filter((stanza) => stanza.tag === 'message')
  const encrypted = messages.flatMap(all).filter((node) => node.tag === 'enc')
  return encrypted.map((node) => node.attrs['type'])
}

function all(node: BinaryNode): BinaryNode[] {
  return [node, ...(Array.isArray(node.content) ? node.content.flatMap(all) : [])]
}

function bytesIn(stanza: BinaryNode): Buffer[] {
  return all(stanza).flatMap(({ content }) => (content instanceof Uint8Array ? [Buffer.from(content)] : []))
}

function childTags(stanza: BinaryNode): string[] {
  return all(stanza).map(({ tag }) => tag)
}

function retries(): BinaryNode[] {
  return network.written.filter((stanza) => stanza.attrs['type'] === 'retry')
}

/** The first message arrives spoiled; retry receipts are lost from then on. Answers what arrived. */
async function sendSpoiled(text: string): Promise<BinaryNode> {
  let spoiled: BinaryNode | undefined
  network.tamper = (stanza) => {
    if (stanza.attrs['type'] === 'retry') return undefined
    if (stanza.tag === 'message') spoiled = spoil(stanza)
    return stanza.tag === 'message' ? spoiled : stanza
  }
  await write(asha, baraka, text)
  await waitFor('a failure', () => stats.decryptFailures === 1)
  if (!spoiled) throw new Error('no message was written')
  return spoiled
}

function replaceIn(node: BinaryNode, tag: string, content: Buffer): BinaryNode {
  if (node.tag === tag) return { ...node, content }
  return Array.isArray(node.content) ? { ...node, content: node.content.map((each) => replaceIn(each, tag, content)) } : node
}

function spoilNext(): void {
  let spoiled = false
  network.tamper = (stanza) => {
    if (stanza.tag !== 'message' || spoiled) return stanza
    spoiled = true
    return spoil(stanza)
  }
}

/** Flips a bit of what the MAC covers or of the MAC itself, wherever the message stands in its envelope. */
function spoil(stanza: BinaryNode): BinaryNode {
  if (stanza.tag !== 'message' || !Array.isArray(stanza.content)) return stanza
  const content = stanza.content.map((node) => {
    if (!(node.content instanceof Uint8Array)) return node
    const bytes = Buffer.from(node.content)
    bytes[bytes.length - 9] = (bytes.at(-9) ?? 0) ^ 1
    return { ...node, content: bytes }
  })
  return { ...stanza, content }
}
