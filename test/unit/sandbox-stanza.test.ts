// The stanza codec against vectors that another implementation made.
//
// Origin: whatsmeow's encoder (go.mau.fi/whatsmeow/binary, Marshal), a codec in Go that shares no code with Baileys, run once over
// the nodes below; its output was written down as hex. The first byte is the flag byte (0: not compressed).
// Read by hand, `00 f8 03 19 06 fa 00 03` is: list of 3 · token `iq` · token `from` · JID pair with empty user and token `s.whatsapp.net`.
import { deflateSync } from 'node:zlib'
import type { BinaryNode } from '@whiskeysockets/baileys'
import { describe, expect, it } from 'vitest'
import { decodeStanza, encodeStanza, stanza } from '../../src/sandbox/wire/stanza.ts'

const vectors: [name: string, node: BinaryNode, hex: string][] = [
  ['the server itself as a JID with an empty user', stanza('iq', { from: '@s.whatsapp.net' }), '00f8031906fa0003'],
  ['a message id packed as hex', stanza('iq', { id: '3EB0FA3AA9253374F8D991' }), '00f8031908fb0b3eb0fa3aa9253374f8d991'],
  ['a phone number', stanza('ack', { to: '254700000002@s.whatsapp.net' }), '00f8031b11faff0625470000000203'],
  ['a phone number’s third device', stanza('ack', { to: '254700000002:3@s.whatsapp.net' }), '00f8031b11f70003ff06254700000002'],
  ['a LID', stanza('ack', { to: '753847864378127@lid' }), '00f8031b11faff88753847864378127f76'],
  ['a LID’s twelfth device', stanza('ack', { to: '753847864378127:12@lid' }), '00f8031b11f7010cff88753847864378127f'],
  ['a number of odd length', stanza('count', { value: '812' }), '00f803416cee44'],
  ['dots and dashes in nibbles', stanza('count', { value: '1.2-34' }), '00f803416cff031b2a34'],
  ['text beyond ASCII', stanza('platform', { name: 'Grüße, Welt' }), '00f8034a89fc0d4772c3bcc39f652c2057656c74'],
  [
    'a tag from no dictionary and a key from the second one',
    stanza('link_code_companion_reg', { stage: 'companion_hello' }),
    '00f803fc176c696e6b5f636f64655f636f6d70616e696f6e5f726567ec8bfc0f636f6d70616e696f6e5f68656c6c6f',
  ],
  ['bytes', stanza('enc', { v: '2' }, Buffer.from('deadbeef', 'hex')), '00f8041d5145fc04deadbeef'],
  ['more than 255 bytes', stanza('enc', {}, Buffer.alloc(300)), `00f8021dfd00012c${'00'.repeat(300)}`],
  [
    'children within children',
    stanza('iq', { type: 'result' }, [stanza('usync', {}, [stanza('list')]), stanza('error')]),
    '00f804190414f802f80279f801f80171f801a8',
  ],
  [
    'a retry receipt',
    stanza('receipt', { type: 'retry' }, [
      stanza('retry', { count: '1' }),
      stanza('registration', {}, Buffer.from('00001f40', 'hex')),
    ]),
    '00f8040704ec0bf802f803ec0b4155f802adfc0400001f40',
  ],
  ['a stanza that is only a tag', stanza('xmlstreamend'), '00f80102'],
]

describe('stanzas', () => {
  it.each(vectors)('encodes %s', (_, node, hex) => {
    expect(encodeStanza(node).toString('hex')).toBe(hex)
  })

  it.each(vectors)('decodes %s', (_, node, hex) => {
    expect(decodeStanza(Buffer.from(hex, 'hex'))).toMatchObject({ tag: node.tag, attrs: node.attrs })
    expect(encodeStanza(decodeStanza(Buffer.from(hex, 'hex'))).toString('hex')).toBe(hex)
  })

  it('decodes a compressed stanza', () => {
    const compressed = Buffer.concat([Buffer.from([2]), deflateSync(Buffer.from('f8031906fa0003', 'hex'))])
    expect(decodeStanza(compressed)).toMatchObject({ tag: 'iq', attrs: { from: '@s.whatsapp.net' } })
  })

  it.each(['', '00', '00f8', '00f803', '00f80319', '00f9ffff', '00fc05', '00f8031906', '0278', `00${'f801'.repeat(3)}`])(
    'refuses %j with an error',
    (hex) => {
      expect(() => decodeStanza(Buffer.from(hex, 'hex'))).toThrow(Error)
    },
  )
})
