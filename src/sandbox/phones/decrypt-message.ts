// From a message stanza to the message inside: decryption with the sender's session, padding, and proof that a companion is one.
import { proto, type BinaryNode } from '@whiskeysockets/baileys'
import type { DeviceAddress } from './address.ts'
import { childrenOf } from '../wire/stanza.ts'
import { verifyForeignIdentity } from './device-identity.ts'
import { unpadMessage } from './padding.ts'
import type { PhoneState, PhoneWorld } from './phone-state.ts'

/** @throws Error when the stanza holds nothing this phone can decrypt. */
export async function decryptMessage(
  world: PhoneWorld,
  phone: PhoneState,
  stanza: BinaryNode,
  sender: DeviceAddress,
): Promise<proto.IMessage> {
  const encrypted = childrenOf(stanza).filter((child) => child.tag === 'enc')
  if (encrypted.length === 0) throw new Error('The message holds nothing encrypted for this phone.')
  const message: proto.IMessage = {}
  for (const { attrs, content } of encrypted) {
    if (attrs['v'] !== '2' || !(content instanceof Uint8Array)) throw new Error('Only encryption version 2 is known.')
    const padded = await decryptPart(world, phone, stanza, sender, attrs['type'], content)
    Object.assign(message, proto.Message.decode(unpadMessage(padded)))
    const { groupId, axolotlSenderKeyDistributionMessage: key } = message.senderKeyDistributionMessage ?? {}
    // the key comes first, and the message encrypted with it right after
    if (groupId && key) await phone.groupKeys.learn(groupId, sender.signalAddress, key)
  }
  return message
}

async function decryptPart(
  world: PhoneWorld,
  phone: PhoneState,
  stanza: BinaryNode,
  sender: DeviceAddress,
  type: string | undefined,
  content: Uint8Array,
): Promise<Uint8Array> {
  if (type === 'skmsg') return phone.groupKeys.decrypt(stanza.attrs['from'] ?? '', sender.signalAddress, content)
  if (type !== 'pkmsg' && type !== 'msg') throw new Error(`Encryption of type ${type} is not known.`)
  const padded = await phone.keys.decrypt(sender.signalAddress, type, content)
  if (type === 'pkmsg' && sender.device !== 0) requireGenuineCompanion(world, phone, sender, childrenOf(stanza))
  return padded
}

/** @throws Error when a new session comes from a device that the sender's phone never signed for. */
function requireGenuineCompanion(world: PhoneWorld, phone: PhoneState, sender: DeviceAddress, children: BinaryNode[]): void {
  const identity = phone.keys.remoteIdentity(sender.signalAddress)
  const accountKey = world.identityOf(sender.account.phoneNumber)
  if (!identity || !accountKey) throw new Error('There is no identity to check the device against.')
  const trusted = `${sender.signalAddress}|${Buffer.from(identity).toString('base64')}`
  if (world.trustedCompanions.has(trusted)) return
  const signed = children.find((child) => child.tag === 'device-identity')?.content
  if (!(signed instanceof Uint8Array) || !verifyForeignIdentity(signed, accountKey, identity)) {
    phone.keys.dropSession(sender.signalAddress)
    throw new Error('The device identity is missing or its signatures are not genuine.')
  }
  world.trustedCompanions.add(trusted)
}
