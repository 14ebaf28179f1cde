// Prefixed ids that sort by time, and the WhatsApp id derived from a message id.
import { createHash, randomBytes } from 'node:crypto'

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
export type IdPrefix = 'ses' | 'msg' | 'evt' | 'whk' | 'dlv' | 'key' | 'med' | 'rpl' | 'cmd' | 'req'

let lastMs = 0
let lastRandom = 0n

/** `<prefix>_` + 26 characters: 48 bits of time, 80 random bits that only rise within one millisecond of one process. */
export function newId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  if (nowMs > lastMs) {
    lastMs = nowMs
    lastRandom = BigInt(`0x${randomBytes(10).toString('hex')}`) >> 1n
  } else {
    lastRandom += 1n
  }
  return `${prefix}_${encode(BigInt(lastMs), 10)}${encode(lastRandom, 16)}`
}

function encode(value: bigint, length: number): string {
  let text = ''
  for (let rest = value; text.length < length; rest >>= 5n) text = alphabet[Number(rest & 31n)] + text
  return text
}

export function isId(prefix: IdPrefix, text: string): boolean {
  return new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`).test(text)
}

/** The id WhatsApp will know a message by: fixed when the message is accepted, the same on every retry. */
export function whatsappIdOf(messageId: string): string {
  return `3EB0${createHash('sha256').update(messageId).digest('hex').slice(0, 18).toUpperCase()}`
}
