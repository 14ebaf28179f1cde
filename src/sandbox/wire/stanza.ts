// Stanzas: the binary node codec (Baileys' own) and small readers for what strangers sent.
import { inflateSync } from 'node:zlib'
import * as constants from '@whiskeysockets/baileys/lib/WABinary/constants.js'
import { decodeDecompressedBinaryNode } from '@whiskeysockets/baileys/lib/WABinary/decode.js'
import { encodeBinaryNode } from '@whiskeysockets/baileys/lib/WABinary/encode.js'
import type { BinaryNode } from '@whiskeysockets/baileys'

const compressedFlag = 2
const maxInflatedBytes = 32 * 1024 * 1024

export function encodeStanza(node: BinaryNode): Buffer {
  return encodeBinaryNode(node)
}

/** @throws Error when the bytes are no stanza. */
export function decodeStanza(bytes: Buffer): BinaryNode {
  const flags = bytes[0]
  if (flags === undefined) throw new Error('The stanza is empty.')
  const body = bytes.subarray(1)
  const plain = flags & compressedFlag ? inflateSync(body, { maxOutputLength: maxInflatedBytes }) : body
  return decodeDecompressedBinaryNode(plain, constants)
}

export function childrenOf(node: BinaryNode | undefined): BinaryNode[] {
  return Array.isArray(node?.content) ? node.content : []
}

export function childOf(node: BinaryNode | undefined, ...path: string[]): BinaryNode | undefined {
  let found = node
  for (const tag of path) found = childrenOf(found).find((child) => child.tag === tag)
  return found
}

/** Binary content; text content as UTF-8; otherwise empty. */
export function bytesOf(node: BinaryNode | undefined): Buffer {
  const content = node?.content
  if (typeof content === 'string') return Buffer.from(content)
  return content instanceof Uint8Array ? Buffer.from(content) : Buffer.alloc(0)
}

/** A big-endian number of a few bytes; 0 when there is none. */
export function numberOf(node: BinaryNode | undefined): number {
  const bytes = bytesOf(node)
  return bytes.length >= 1 && bytes.length <= 6 ? bytes.readUIntBE(0, bytes.length) : 0
}

export function bigEndian(value: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  bytes.writeUIntBE(value, 0, length)
  return bytes
}

/** A stanza in one line. */
export function stanza(tag: string, attrs: Record<string, string | undefined> = {}, content?: BinaryNode['content']): BinaryNode {
  const given = Object.fromEntries(Object.entries(attrs).filter((entry): entry is [string, string] => entry[1] !== undefined))
  return content === undefined ? { tag, attrs: given } : { tag, attrs: given, content }
}

export function nowSeconds(): string {
  return String(Math.floor(Date.now() / 1000))
}
