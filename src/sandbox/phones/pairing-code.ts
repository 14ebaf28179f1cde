// The phone's side of linking with an eight-character code: key agreement under the code, and the secret that follows from it.
import { createCipheriv, createDecipheriv, hkdfSync, pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { calculateAgreement } from 'libsignal/src/curve.js'
import { withType } from '../wire/keys.ts'
import { bare, newKeyPair, type KeyPair } from './key-pair.ts'

const derive = promisify(pbkdf2)
const codeIterations = 131_072

/** As people type it: `abcd-efgh` is `ABCDEFGH`. Undefined when it is not eight letters or digits. */
export function normalizeCode(code: string): string | undefined {
  const plain = code.replace(/[\s-]/g, '').toUpperCase()
  return /^[A-Z0-9]{8}$/.test(plain) ? plain : undefined
}

export interface PrimaryHalf {
  ephemeral: KeyPair
  companionEphemeral: Buffer
  /** salt32 | iv16 | AES-CTR(our ephemeral public key), as the companion gets it. */
  wrappedEphemeral: Buffer
}

/** Opens what the companion staged and answers in kind. With a wrong code it all "works" and only the bundle below does not open. */
export async function answerCompanionHello(code: string, wrappedCompanionEphemeral: Uint8Array): Promise<PrimaryHalf> {
  if (wrappedCompanionEphemeral.length !== 80) throw new Error('What the companion staged does not have 80 bytes.')
  const staged = Buffer.from(wrappedCompanionEphemeral)
  const theirKey = await derive(code, staged.subarray(0, 32), codeIterations, 32, 'sha256')
  const decipher = createDecipheriv('aes-256-ctr', theirKey, staged.subarray(32, 48))
  const companionEphemeral = Buffer.concat([decipher.update(staged.subarray(48)), decipher.final()])

  const ephemeral = newKeyPair()
  const salt = randomBytes(32)
  const iv = randomBytes(16)
  const ourKey = await derive(code, salt, codeIterations, 32, 'sha256')
  const cipher = createCipheriv('aes-256-ctr', ourKey, iv)
  const wrapped = Buffer.concat([cipher.update(bare(ephemeral.pubKey)), cipher.final()])
  return { ephemeral, companionEphemeral, wrappedEphemeral: Buffer.concat([salt, iv, wrapped]) }
}

/**
 * Opens companion_finish's key bundle (salt32 | iv12 | AES-GCM(companion identity | primary identity | random32)).
 * Undefined when it does not open or names other identities: the code was another one.
 */
export function openKeyBundle(
  half: PrimaryHalf,
  identity: KeyPair,
  bundle: Uint8Array,
  companionIdentity: Uint8Array,
): { advSecret: Buffer } | undefined {
  if (bundle.length !== 32 + 12 + 96 + 16) return undefined
  try {
    const bytes = Buffer.from(bundle)
    const ephemeralShared = calculateAgreement(withType(half.companionEphemeral), half.ephemeral.privKey)
    const key = hkdf(ephemeralShared, bytes.subarray(0, 32), 'link_code_pairing_key_bundle_encryption_key')
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(32, 44)).setAuthTag(bytes.subarray(-16))
    const plain = Buffer.concat([decipher.update(bytes.subarray(44, -16)), decipher.final()])
    if (!plain.subarray(0, 32).equals(bare(companionIdentity))) return undefined
    if (!plain.subarray(32, 64).equals(bare(identity.pubKey))) return undefined
    const identityShared = calculateAgreement(withType(bare(companionIdentity)), identity.privKey)
    return {
      advSecret: hkdf(Buffer.concat([ephemeralShared, identityShared, plain.subarray(64)]), Buffer.alloc(0), 'adv_secret'),
    }
  } catch {
    return undefined
  }
}

function hkdf(input: Uint8Array, salt: Uint8Array, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', input, salt, info, 32))
}
