// The padding of every encrypted message: 1 to 16 bytes, each holding their number.
import { randomInt } from 'node:crypto'

export function padMessage(plain: Uint8Array): Buffer {
  const count = randomInt(1, 17)
  return Buffer.concat([plain, Buffer.alloc(count, count)])
}

/** @throws Error when the padding is not what the protocol prescribes. */
export function unpadMessage(padded: Uint8Array): Buffer {
  const bytes = Buffer.from(padded.buffer, padded.byteOffset, padded.byteLength)
  const count = bytes.at(-1) ?? 0
  if (count < 1 || count > 16 || count > bytes.length) throw new Error('The padding is missing.')
  if (bytes.subarray(-count).some((byte) => byte !== count)) throw new Error('The padding is not uniform.')
  return bytes.subarray(0, -count)
}
