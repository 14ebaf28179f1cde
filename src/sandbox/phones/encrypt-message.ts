// Encryption of one message for the devices of its recipient and the sender's own companions, with sessions made as needed.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { resolveDevice } from './address.ts'
import { padMessage } from './padding.ts'
import type { PhoneState, PhoneWorld } from './phone-state.ts'
import type { SentMessage } from './sent-log.ts'

/** `<to jid><enc/></to>` for each device; one without keys, or with keys that are not genuine, is left out. */
export async function encryptForDevices(
  world: PhoneWorld,
  phone: PhoneState,
  deviceJids: string[],
  message: SentMessage,
): Promise<BinaryNode[]> {
  const devices = deviceJids.flatMap((jid) => {
    const address = resolveDevice(world.network, jid)
    return address ? [{ jid, ...address }] : []
  })
  const missing = devices.filter((device) => !phone.keys.hasSession(device.signalAddress)).map((device) => device.jid)
  const bundles = missing.length > 0 ? world.network.prekeyBundles(missing) : undefined
  const nodes: BinaryNode[] = []
  for (const { jid, account, signalAddress } of devices) {
    try {
      const bundle = bundles?.get(jid)
      if (bundle) await phone.keys.startSession(signalAddress, bundle)
      const isOwn = account.phoneNumber === phone.account.phoneNumber
      const plain = isOwn ? message.deviceSent : message.plain
      nodes.push({ tag: 'to', attrs: { jid }, content: [await encryptedNode(phone, signalAddress, plain)] })
    } catch (err) {
      world.log.warn({ err, jid, messageId: message.id }, 'phone.encryption_failed')
    }
  }
  return nodes
}

export async function encryptedNode(
  phone: PhoneState,
  signalAddress: string,
  plain: Buffer,
  count?: string,
): Promise<BinaryNode> {
  const { type, ciphertext } = await phone.keys.encrypt(signalAddress, padMessage(plain))
  return { tag: 'enc', attrs: { v: '2', type, ...(count ? { count } : {}) }, content: ciphertext }
}
