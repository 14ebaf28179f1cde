// Receipts and acks that reach a phone: they move the status of what it sent, or ask for a message once more.
import type { BinaryNode } from '@whiskeysockets/baileys'
import type { PrekeyBundle } from '../device.ts'
import { resolveDevice } from './address.ts'
import type { OutgoingStatus } from './chat-log.ts'
import { encryptedNode } from './encrypt-message.ts'
import type { PhoneState, PhoneWorld } from './phone-state.ts'
import { bare } from './key-pair.ts'

const statusByType: Record<string, OutgoingStatus> = {
  '': 'delivered',
  inactive: 'delivered',
  read: 'read',
  played: 'read',
}

export async function receiveReceipt(world: PhoneWorld, phone: PhoneState, stanza: BinaryNode): Promise<void> {
  const { id, type = '', from, participant } = stanza.attrs
  if (!id || !from) return
  if (type === 'retry') return answerRetry(world, phone, stanza)
  const reader = resolveDevice(world.network, participant ?? from)
  const isOwnDevice = reader?.account.phoneNumber === phone.account.phoneNumber
  const ids = [id, ...listedIds(stanza)]
  if (isOwnDevice && (type === 'read' || type === 'read-self')) return readElsewhere(phone, ids)
  const status = statusByType[type]
  if (!status || isOwnDevice) return
  for (const each of ids) phone.chats.advance(each, status)
}

/** An ack of the server: accepted, or refused with a number. */
export function receiveAck(phone: PhoneState, stanza: BinaryNode): void {
  const { id, error } = stanza.attrs
  if (stanza.attrs['class'] !== 'message' || !id) return
  if (error === undefined) phone.chats.advance(id, 'sent')
  else phone.chats.fail(id, Number(error))
}

/** One of the account's companions has read these. */
function readElsewhere(phone: PhoneState, ids: string[]): void {
  for (const id of ids) {
    const message = phone.chats.find(id, false)
    if (message) phone.chats.markRead(message)
  }
}

function listedIds(stanza: BinaryNode): string[] {
  const lists = Array.isArray(stanza.content) ? stanza.content.filter((child) => child.tag === 'list') : []
  const items = lists.flatMap((list) => (Array.isArray(list.content) ? list.content : []))
  return items.flatMap((item) => item.attrs['id'] ?? [])
}

/** Encrypts the message once more for the one device that asks, on a new session, in the addressing it asked in. */
async function answerRetry(world: PhoneWorld, phone: PhoneState, stanza: BinaryNode): Promise<void> {
  const { id = '', from = '', participant } = stanza.attrs
  const deviceJid = participant ?? from
  const asker = resolveDevice(world.network, deviceJid)
  const sent = phone.sent.get(id)
  if (!asker || !sent || !phone.sent.claimRetry(id, asker.signalAddress)) return
  const count = child(stanza, 'retry')?.attrs['count'] ?? '1'
  const bundle = bundleIn(stanza) ?? world.network.prekeyBundles([deviceJid]).get(deviceJid)
  if (bundle) await phone.keys.startSession(asker.signalAddress, bundle)
  const isOwn = asker.account.phoneNumber === phone.account.phoneNumber
  const attrs: BinaryNode['attrs'] = { id, to: deviceJid, type: sent.stanzaType, device_fanout: 'false' }
  if (isOwn) attrs['recipient'] = sent.destinationJid
  const enc = await encryptedNode(phone, asker.signalAddress, isOwn ? sent.deviceSent : sent.plain, count)
  world.log.info({ phoneNumber: phone.account.phoneNumber, messageId: id }, 'phone.retry_answered')
  world.network.sendFromPrimary(phone.account, { tag: 'message', attrs, content: [enc] })
}

/** The keys that come with a retry receipt from the second on; undefined when they are missing or not whole. */
function bundleIn(stanza: BinaryNode): PrekeyBundle | undefined {
  const keys = child(stanza, 'keys')
  const signed = child(keys, 'skey')
  const registration = bytesOf(child(stanza, 'registration'), 4)
  const identity = bytesOf(child(keys, 'identity'))
  const [id, publicKey, signature] = [
    bytesOf(child(signed, 'id'), 3),
    bytesOf(child(signed, 'value')),
    bytesOf(child(signed, 'signature'), 64),
  ]
  if (!registration || !identity || !id || !publicKey || !signature) return undefined
  const oneTime = child(keys, 'key')
  const [oneTimeId, oneTimeKey] = [bytesOf(child(oneTime, 'id'), 3), bytesOf(child(oneTime, 'value'))]
  return {
    registrationId: registration.readUInt32BE(),
    identityKey: bare(identity),
    signedPrekey: { id: id.readUIntBE(0, 3), publicKey: bare(publicKey), signature },
    ...(oneTimeId && oneTimeKey ? { oneTimePrekey: { id: oneTimeId.readUIntBE(0, 3), publicKey: bare(oneTimeKey) } } : {}),
  }
}

function child(node: BinaryNode | undefined, tag: string): BinaryNode | undefined {
  return Array.isArray(node?.content) ? node.content.find((each) => each.tag === tag) : undefined
}

/** Keys have 32 bytes, or 33 with their type. */
function bytesOf(node: BinaryNode | undefined, length?: number): Buffer | undefined {
  const content = node?.content
  if (!(content instanceof Uint8Array)) return undefined
  const fits = length === undefined ? content.length === 32 || content.length === 33 : content.length === length
  return fits ? Buffer.from(content) : undefined
}
