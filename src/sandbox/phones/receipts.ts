// The receipts a phone writes: delivered, read, sender, and retry with the keys to start over.
import { jidNormalizedUser, type BinaryNode } from '@whiskeysockets/baileys'
import type { ShownMessage } from './chat-log.ts'
import type { PhoneState, PhoneWorld } from './phone-state.ts'
import { bare } from './key-pair.ts'

const maxRetries = 5
const maxRetryEntries = 2_000

/** Says that a message arrived; the own companions' copies are answered as `sender`, device-to-device ones as `peer_msg`. */
export function sendDelivered(world: PhoneWorld, phone: PhoneState, stanza: BinaryNode, fromMe: boolean): void {
  const { id = '', from = '', participant, recipient, category } = stanza.attrs
  const attrs: BinaryNode['attrs'] = { id, to: from }
  if (category === 'peer') attrs['type'] = 'peer_msg'
  else if (fromMe) attrs['type'] = 'sender'
  if (recipient) attrs['recipient'] = recipient
  if (participant) attrs['participant'] = participant
  world.network.sendFromPrimary(phone.account, { tag: 'receipt', attrs })
}

/** Marks a message as read and tells its sender. False when it was read already. */
export function sendRead(world: PhoneWorld, phone: PhoneState, message: ShownMessage): boolean {
  if (message.fromMe || !phone.chats.markRead(message)) return false
  // to the account, not the device: every device of the sender learns of it
  const to = message.groupJid ?? jidNormalizedUser(message.senderJid)
  const attrs: BinaryNode['attrs'] = { id: message.id, type: 'read', to }
  if (message.groupJid) attrs['participant'] = message.senderJid
  world.network.sendFromPrimary(phone.account, { tag: 'receipt', attrs })
  return true
}

/** Asks for a message once more, in the addressing it came in; from the second time on with keys for a new session. */
export function sendRetry(world: PhoneWorld, phone: PhoneState, stanza: BinaryNode, key: string): void {
  const count = (phone.retries.get(key) ?? 0) + 1
  if (count > maxRetries) return
  phone.retries.set(key, count)
  const oldest = phone.retries.size > maxRetryEntries ? phone.retries.keys().next().value : undefined
  if (oldest !== undefined) phone.retries.delete(oldest)

  const { id = '', from = '', t, participant, recipient } = stanza.attrs
  const attrs: BinaryNode['attrs'] = { id, to: from, type: 'retry' }
  if (recipient) attrs['recipient'] = recipient
  if (participant) attrs['participant'] = participant
  const retry = { count: String(count), id, t: t ?? String(Math.floor(Date.now() / 1000)), v: '1' }
  const content: BinaryNode[] = [
    { tag: 'retry', attrs: retry },
    { tag: 'registration', attrs: {}, content: bigEndian(phone.keys.registrationId, 4) },
  ]
  if (count > 1) content.push(keysNode(phone))
  world.network.sendFromPrimary(phone.account, { tag: 'receipt', attrs, content })
}

function keysNode(phone: PhoneState): BinaryNode {
  const bundle = phone.keys.takeBundle()
  const { signedPrekey, oneTimePrekey } = bundle
  const content = [
    leaf('type', Buffer.from([5])),
    leaf('identity', bare(bundle.identityKey)),
    {
      tag: 'skey',
      attrs: {},
      content: [
        leaf('id', bigEndian(signedPrekey.id, 3)),
        leaf('value', signedPrekey.publicKey),
        leaf('signature', signedPrekey.signature),
      ],
    },
  ]
  if (oneTimePrekey) {
    const key = [leaf('id', bigEndian(oneTimePrekey.id, 3)), leaf('value', oneTimePrekey.publicKey)]
    content.splice(2, 0, { tag: 'key', attrs: {}, content: key })
  }
  return { tag: 'keys', attrs: {}, content }
}

function leaf(tag: string, content: Uint8Array) {
  return { tag, attrs: {}, content }
}

function bigEndian(value: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  bytes.writeUIntBE(value, 0, length)
  return bytes
}
