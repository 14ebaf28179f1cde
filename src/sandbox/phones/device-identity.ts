// The signed device identity that links a companion to an account: made by the phone, countersigned by the companion.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { proto } from '@whiskeysockets/baileys'
import { calculateSignature } from 'libsignal/src/curve.js'
import { isGenuine } from '../wire/keys.ts'
import { bare, type KeyPair } from './key-pair.ts'

const accountSignaturePrefix = Buffer.from([6, 0])
const deviceSignaturePrefix = Buffer.from([6, 1])

export interface IssuedIdentity {
  details: Buffer
  accountSignature: Buffer
  accountKey: Buffer
  companionIdentity: Buffer
}

export function issueIdentity(account: KeyPair, companionIdentity: Uint8Array, keyIndex: number, rawId: number): IssuedIdentity {
  const details = Buffer.from(
    proto.ADVDeviceIdentity.encode({
      rawId,
      timestamp: Math.floor(Date.now() / 1000),
      keyIndex,
      accountType: proto.ADVEncryptionType.E2EE,
      deviceType: proto.ADVEncryptionType.E2EE,
    }).finish(),
  )
  const companion = bare(companionIdentity)
  const signed = Buffer.concat([accountSignaturePrefix, details, companion])
  return {
    details,
    accountSignature: Buffer.from(calculateSignature(account.privKey, signed)),
    accountKey: bare(account.pubKey),
    companionIdentity: companion,
  }
}

/** Encoded ADVSignedDeviceIdentityHMAC, as pair-success carries it; only who showed the QR or the code knows `advSecret`. */
export function sealIdentity(issued: IssuedIdentity, advSecret: Uint8Array): Buffer {
  const details = proto.ADVSignedDeviceIdentity.encode({
    details: issued.details,
    accountSignatureKey: issued.accountKey,
    accountSignature: issued.accountSignature,
  }).finish()
  const hmac = createHmac('sha256', advSecret).update(details).digest()
  return Buffer.from(
    proto.ADVSignedDeviceIdentityHMAC.encode({ details, hmac, accountType: proto.ADVEncryptionType.E2EE }).finish(),
  )
}

/** Whether the companion signed exactly what was issued, with the identity key it asked with. */
export function verifyCountersigned(issued: IssuedIdentity, answer: Uint8Array): boolean {
  try {
    const signed = proto.ADVSignedDeviceIdentity.decode(answer)
    if (!sameBytes(signed.details, issued.details) || !sameBytes(signed.accountSignature, issued.accountSignature)) return false
    return verifyDeviceSignature(issued, signed.deviceSignature)
  } catch {
    return false
  }
}

/**
 * Whether an encoded ADVSignedDeviceIdentity that came with a message proves that the device with `deviceIdentityKey` belongs to
 * the account with `accountKey`: both signatures genuine.
 */
export function verifyForeignIdentity(encoded: Uint8Array, accountKey: Uint8Array, deviceIdentityKey: Uint8Array): boolean {
  try {
    const signed = proto.ADVSignedDeviceIdentity.decode(encoded)
    const { details, accountSignature, accountSignatureKey, deviceSignature } = signed
    if (!details || !accountSignature) return false
    if (accountSignatureKey?.length && !sameBytes(accountSignatureKey, bare(accountKey))) return false
    const companionIdentity = bare(deviceIdentityKey)
    const accountMessage = Buffer.concat([accountSignaturePrefix, details, companionIdentity])
    if (!isGenuine(bare(accountKey), accountMessage, accountSignature)) return false
    const issued = {
      details: Buffer.from(details),
      accountSignature: Buffer.from(accountSignature),
      accountKey: bare(accountKey),
      companionIdentity,
    }
    return verifyDeviceSignature(issued, deviceSignature)
  } catch {
    return false
  }
}

function verifyDeviceSignature(issued: IssuedIdentity, signature: Uint8Array | null | undefined): boolean {
  if (!signature) return false
  const message = Buffer.concat([deviceSignaturePrefix, issued.details, issued.companionIdentity, issued.accountKey])
  return isGenuine(issued.companionIdentity, message, signature)
}

function sameBytes(left: Uint8Array | null | undefined, right: Uint8Array): boolean {
  return left?.length === right.length && timingSafeEqual(left, right)
}
