// Who a message goes to: what users write, parsed into WhatsApp's canonical address. Pure; no Baileys here, the API uses it too.
import { AppError } from '../platform/errors.ts'

/** As the store keeps it. `lid` and `groupId` keep their server part, so that they can be written to as they stand. */
export interface ParsedAddress {
  /** Canonical JID: one per chat, without a device. */
  recipient: string
  address: { input: string; phoneNumber: string | null; lid: string | null; groupId: string | null }
}

export type JidKind = 'phone' | 'lid' | 'group' | 'other'

const phoneServer = 's.whatsapp.net'
/** Longer than any address with any punctuation; keeps errors and logs short. */
const maxInputLength = 100
const punctuation = /[\s().\-/\u00a0\u2007\u202f\u2010-\u2015]/g

/**
 * Parses `to`: a phone number as people write it, or a JID (`@s.whatsapp.net`, `@c.us`, `@lid`, `@g.us`).
 * @throws AppError `invalid_request` with a sentence; `path` is the field it names.
 */
export function parseAddress(input: string, path = 'to'): ParsedAddress {
  const text = input.trim()
  if (text === '' || text.length > maxInputLength) throw refused(path, 'is empty or too long')
  const at = text.indexOf('@')
  const address = { input, phoneNumber: null, lid: null, groupId: null }
  if (at < 0) {
    const phoneNumber = parsePhoneNumber(text, path)
    return { recipient: `${phoneNumber}@${phoneServer}`, address: { ...address, phoneNumber } }
  }
  const server = text.slice(at + 1).toLowerCase()
  const user = text.slice(0, at)
  switch (server) {
    case phoneServer:
    case 'c.us': {
      const phoneNumber = checkedNumber(withoutDevice(user), path)
      return { recipient: `${phoneNumber}@${phoneServer}`, address: { ...address, phoneNumber } }
    }
    case 'lid': {
      const digits = withoutDevice(user)
      if (!/^[1-9]\d{4,19}$/.test(digits)) throw refused(path, 'has a LID that is not 5 to 20 digits')
      return { recipient: `${digits}@lid`, address: { ...address, lid: `${digits}@lid` } }
    }
    case 'g.us': {
      if (!/^[1-9]\d{4,24}(-\d{5,15})?$/.test(user)) throw refused(path, 'has a group id that is not digits')
      return { recipient: `${user}@g.us`, address: { ...address, groupId: `${user}@g.us` } }
    }
    default:
      throw refused(path, 'ends in a server that is none of @s.whatsapp.net, @c.us, @lid and @g.us')
  }
}

/**
 * A phone number as people write it → digits alone, with country code (E.164: 7 to 15 digits, none begins with 0).
 * @throws AppError `invalid_request`
 */
export function parsePhoneNumber(input: string, path = 'phoneNumber'): string {
  if (input.length > maxInputLength) throw refused(path, 'is too long')
  return checkedNumber(input.trim().replace(punctuation, '').replace(/^\+/, ''), path)
}

export function jidOfPhoneNumber(phoneNumber: string): string {
  return `${phoneNumber}@${phoneServer}`
}

/** The digits of a phone number's JID, with or without a device; null for any other JID. */
export function phoneNumberOf(jid: string | null | undefined): string | null {
  return jid && kindOfJid(jid) === 'phone' ? userOf(jid) : null
}

/** `<digits>@lid` without a device; null for any other JID. */
export function lidOf(jid: string | null | undefined): string | null {
  return jid && kindOfJid(jid) === 'lid' ? `${userOf(jid)}@lid` : null
}

export function kindOfJid(jid: string): JidKind {
  if (jid.endsWith(`@${phoneServer}`) || jid.endsWith('@c.us')) return 'phone'
  if (jid.endsWith('@lid')) return 'lid'
  return jid.endsWith('@g.us') ? 'group' : 'other'
}

/** Devices that WhatsApp hosts for businesses have servers of their own. */
const accountServers = new Map([
  ['c.us', phoneServer],
  ['hosted', phoneServer],
  ['hosted.lid', 'lid'],
])

/** The JID of the account, not of one of its devices. */
export function withoutDeviceOf(jid: string): string {
  const at = jid.indexOf('@')
  const server = jid.slice(at + 1)
  return `${userOf(jid)}@${accountServers.get(server) ?? server}`
}

/** What stands before the device and the server. */
export function userOf(jid: string): string {
  return /^[^:@_]*/.exec(jid)?.[0] ?? ''
}

/** `254712345678:3` → `254712345678`: people copy addresses of devices, chats have none. */
function withoutDevice(user: string): string {
  return user.replace(/:\d{1,3}$/, '')
}

function checkedNumber(digits: string, path: string): string {
  if (!/^\d+$/.test(digits)) throw refused(path, 'holds something that is not part of a phone number')
  if (digits.startsWith('0')) throw refused(path, 'begins with 0: write it with its country code, like +254 712 345 678')
  if (digits.length < 7 || digits.length > 15) throw refused(path, 'is not 7 to 15 digits with its country code')
  return digits
}

function refused(path: string, sentence: string): AppError {
  return new AppError('invalid_request', `\`${path}\` ${sentence}.`, { errors: [{ path, message: sentence }] })
}
