// Key pairs and XEdDSA signatures, through libsignal's own functions: Baileys' verify wrapper says yes to everything.
import { calculateSignature, generateKeyPair, verifySignature } from 'libsignal/src/curve.js'

export interface KeyPair {
  privateKey: Buffer
  /** 32 bytes, without the type byte. */
  publicKey: Buffer
}

const typeByte = Buffer.from([5])

export function newKeyPair(): KeyPair {
  const pair = generateKeyPair()
  return { privateKey: Buffer.from(pair.privKey), publicKey: Buffer.from(pair.pubKey).subarray(1) }
}

export function sign(privateKey: Uint8Array, message: Uint8Array): Buffer {
  return Buffer.from(calculateSignature(Buffer.from(privateKey), Buffer.from(message)))
}

/** `publicKey` has 32 bytes. False also for keys and signatures of a wrong length. */
export function isGenuine(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64 || message.length === 0) return false
  try {
    const verdict: unknown = verifySignature(withType(publicKey), Buffer.from(message), Buffer.from(signature))
    return verdict === true
  } catch {
    return false
  }
}

/** The form in which public keys are signed: with the byte 0x05 before them. */
export function withType(publicKey: Uint8Array): Buffer {
  return Buffer.concat([typeByte, publicKey])
}
