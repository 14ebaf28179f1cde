// Whether a prekey bundle is signed by the identity it names, remembered: libsignal's check takes milliseconds of pure JavaScript.
import { createHash } from 'node:crypto'
import type { PrekeyBundle } from '../device.ts'
import { isGenuine, withType } from '../wire/keys.ts'
import { bare } from './key-pair.ts'

const maxRemembered = 20_000
const genuine = new Set<string>()

/** The signed prekey of one client is the same for every phone that writes to it. */
export function isGenuineBundle({ identityKey, signedPrekey }: PrekeyBundle): boolean {
  const signed = withType(bare(signedPrekey.publicKey))
  const digest = createHash('sha256').update(bare(identityKey)).update(signed).update(signedPrekey.signature).digest('base64')
  if (genuine.has(digest)) return true
  if (!isGenuine(bare(identityKey), signed, signedPrekey.signature)) return false
  const oldest = genuine.size >= maxRemembered ? genuine.values().next().value : undefined
  if (oldest !== undefined) genuine.delete(oldest)
  genuine.add(digest)
  return true
}
