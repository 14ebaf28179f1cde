// Prefixed ids that sort by time, and the WhatsApp id derived from a message id.
import { hash, randomBytes } from 'node:crypto'

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
export type IdPrefix = 'ses' | 'msg' | 'evt' | 'whk' | 'dlv' | 'key' | 'med' | 'rpl' | 'cmd' | 'req'

/** Two digits at a time. */
const pairs = Array.from({ length: 1_024 }, (_, n) => `${alphabet[n >> 5]}${alphabet[n & 31]}`)
const half = 2 ** 40

let lastMs = 0
let lastTime = ''
/** 80 bits in two halves: numbers count far faster than a bigint. */
let lastHigh = 0
let lastLow = 0

/** `<prefix>_` + 26 characters: 48 bits of time, 80 random bits that only rise within one millisecond of one process. */
export function newId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  if (nowMs > lastMs) {
    lastMs = nowMs
    lastTime = encode(nowMs, 10)
    const bytes = randomBytes(10)
    // One bit less, so that there is always room to rise.
    lastHigh = Math.floor(bytes.readUIntBE(0, 5) / 2)
    lastLow = bytes.readUIntBE(5, 5)
  } else if (++lastLow === half) {
    lastLow = 0
    lastHigh += 1
  }
  return `${prefix}_${lastTime}${encode(lastHigh, 8)}${encode(lastLow, 8)}`
}

/** `length` is even. */
function encode(value: number, length: number): string {
  let text = ''
  for (let rest = value; text.length < length; rest = Math.floor(rest / 1_024)) text = pairs[rest % 1_024] + text
  return text
}

const patterns = new Map<IdPrefix, RegExp>()

export function isId(prefix: IdPrefix, text: string): boolean {
  let pattern = patterns.get(prefix)
  if (!pattern) patterns.set(prefix, (pattern = new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`)))
  return pattern.test(text)
}

/** The id WhatsApp will know a message by: fixed when the message is accepted, the same on every retry. */
export function whatsappIdOf(messageId: string): string {
  return `3EB0${hash('sha256', messageId, 'hex').slice(0, 18).toUpperCase()}`
}
