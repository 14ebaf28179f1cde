// JIDs as phones see them: who is meant, which device, and the one Signal address a device has however it was addressed.
import { jidDecode, jidEncode } from '@whiskeysockets/baileys'
import type { Account, SandboxNetwork } from '../device.ts'

export interface DeviceAddress {
  account: Account
  device: number
  /** `<lid>_1.<device>`: phone number and LID of one person are one Signal identity. */
  signalAddress: string
}

export type Addressing = 'pn' | 'lid'

/** Undefined when the JID is no person's or the person is not on this network. */
export function resolveDevice(network: SandboxNetwork, jid: string | undefined): DeviceAddress | undefined {
  const parts = jidDecode(jid)
  if (!parts || (parts.server !== 's.whatsapp.net' && parts.server !== 'lid')) return undefined
  const account = network.accountOf(parts.user)
  if (!account) return undefined
  const device = parts.device ?? 0
  return { account, device, signalAddress: `${account.lid}_1.${device}` }
}

/** The account's JID, in phone number or LID addressing; device 0 is left out, as on the wire. */
export function jidOf(account: Account, addressing: Addressing, device = 0): string {
  const number = device === 0 ? undefined : device
  return addressing === 'lid' ? jidEncode(account.lid, 'lid', number) : jidEncode(account.phoneNumber, 's.whatsapp.net', number)
}

export function addressingOf(jid: string): Addressing {
  return jid.endsWith('@lid') ? 'lid' : 'pn'
}
