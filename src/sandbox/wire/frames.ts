// Frames: a 3-byte big-endian length and that many bytes, after an introduction that the client sends once.

const header = Buffer.from([0x57, 0x41, 0x06, 0x03])
/** `ED 00 01`, a 3-byte length and routing information may come before the header. */
const routingMark = Buffer.from('ED\u0000\u0001', 'latin1')
const maxRoutingBytes = 4096

/** Prepends the length. @throws RangeError when the body does not fit into 24 bits. */
export function encodeFrame(body: Uint8Array): Buffer {
  if (body.length >= 1 << 24) throw new RangeError('A frame holds less than 16 MiB.')
  const frame = Buffer.allocUnsafe(3 + body.length)
  frame.writeUIntBE(body.length, 0, 3)
  frame.set(body, 3)
  return frame
}

/** Takes bytes as they come, however they are cut, and gives whole frames. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0)
  #introduced = false

  /** @throws Error when the introduction is not WhatsApp's. */
  push(chunk: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    if (!this.#introduced && !this.#readIntroduction()) return []
    const frames: Buffer[] = []
    let at = 0
    while (this.#rest.length - at >= 3) {
      const end = at + 3 + this.#rest.readUIntBE(at, 3)
      if (end > this.#rest.length) break
      frames.push(this.#rest.subarray(at + 3, end))
      at = end
    }
    this.#rest = this.#rest.subarray(at)
    return frames
  }

  #readIntroduction(): boolean {
    let start = 0
    if (startsAlike(this.#rest, routingMark)) {
      if (this.#rest.length < 7) return false
      const length = this.#rest.readUIntBE(4, 3)
      if (length > maxRoutingBytes) throw new Error('The routing information is too long.')
      start = 7 + length
      if (this.#rest.length < start) return false
    }
    const found = this.#rest.subarray(start, start + header.length)
    if (!startsAlike(found, header)) throw new Error('The connection does not begin with WhatsApp’s header.')
    if (found.length < header.length) return false
    this.#rest = this.#rest.subarray(start + header.length)
    this.#introduced = true
    return true
  }
}

/** The bytes the handshake's hash begins with. */
export const handshakePrologue: Uint8Array = header

function startsAlike(bytes: Buffer, wanted: Buffer): boolean {
  const length = Math.min(bytes.length, wanted.length)
  return bytes.subarray(0, length).equals(wanted.subarray(0, length))
}
