// Key pairs in the form libsignal works with: public keys carry the type byte 0x05.
import { generateKeyPair } from 'libsignal/src/curve.js'

export interface KeyPair {
  /** 33 bytes. */
  pubKey: Buffer
  privKey: Buffer
}

export function newKeyPair(): KeyPair {
  const { pubKey, privKey } = generateKeyPair()
  return { pubKey: Buffer.from(pubKey), privKey: Buffer.from(privKey) }
}

/** Without the type byte, as keys are on the wire. */
export function bare(publicKey: Uint8Array): Buffer {
  return Buffer.from(publicKey.length === 33 ? publicKey.subarray(1) : publicKey)
}
