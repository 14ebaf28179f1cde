// Frames: however the bytes are cut, the same frames come out; what is no introduction is refused.
import { array, assert, nat, option, property, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeFrame, FrameReader, handshakePrologue } from '../../src/sandbox/wire/frames.ts'

const header = Buffer.from(handshakePrologue)

/** Cuts a stream at the given places. */
function cut(stream: Buffer, places: number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (stream.length + 1)))].toSorted((a, b) => a - b)
  return [0, ...at].map((start, index) => stream.subarray(start, at[index] ?? stream.length))
}

describe('frames', () => {
  it('have a length of three bytes, big-endian', () => {
    expect(encodeFrame(Buffer.from('abc')).toString('hex')).toBe('000003616263')
    expect(encodeFrame(Buffer.alloc(70_000)).subarray(0, 3).toString('hex')).toBe('011170')
    expect(() => encodeFrame(Buffer.alloc(1 << 24))).toThrow(RangeError)
  })

  it('come out whole however the stream is cut, with routing information or without', () => {
    assert(
      property(
        array(uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 6 }),
        array(nat(3000), { maxLength: 12 }),
        option(uint8Array({ maxLength: 40 })),
        (bodies, places, routing) => {
          const introduction = routing ? Buffer.concat([Buffer.from('45440001', 'hex'), encodeFrame(routing), header]) : header
          const stream = Buffer.concat([introduction, ...bodies.map((body) => encodeFrame(body))])
          const reader = new FrameReader()
          const frames = cut(stream, places).flatMap((chunk) => reader.push(chunk))
          expect(frames.map((frame) => frame.toString('hex'))).toEqual(bodies.map((body) => Buffer.from(body).toString('hex')))
        },
      ),
    )
  })

  it.each(['474554202f', '57410602', '00', '45440001ffffff57410603'])('refuse a stream that begins with %s', (hex) => {
    expect(() => new FrameReader().push(Buffer.from(hex, 'hex'))).toThrow(Error)
  })
})
