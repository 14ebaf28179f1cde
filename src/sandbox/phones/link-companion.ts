// A person links a client to their account: by scanning its QR code, or by typing the code it shows.
import { randomInt } from 'node:crypto'
import type { PendingPairing } from '../device.ts'
import { issueIdentity, sealIdentity, verifyCountersigned } from './device-identity.ts'
import { answerCompanionHello, normalizeCode, openKeyBundle } from './pairing-code.ts'
import { PhoneError } from './phone-error.ts'
import type { PhoneState, PhoneWorld } from './phone-state.ts'
import { parseQrText } from './qr-text.ts'
import { bare } from './key-pair.ts'

/** @throws PhoneError `qr_malformed`, `qr_unknown`, `qr_mismatch`, `linking_failed` */
export async function scanQr(world: PhoneWorld, phone: PhoneState, text: string): Promise<{ deviceJid: string }> {
  const qr = parseQrText(text)
  if (!qr) throw new PhoneError('qr_malformed')
  const pairing = world.network.findPairingByRef(qr.ref)
  if (!pairing) throw new PhoneError('qr_unknown')
  const sameKeys =
    qr.noisePublicKey.equals(pairing.noisePublicKey) && qr.identityPublicKey.equals(bare(pairing.identityPublicKey))
  if (!sameKeys) throw new PhoneError('qr_mismatch')
  return complete(phone, pairing, qr.advSecret)
}

/** @throws PhoneError `code_malformed`, `code_unknown`, `wrong_code`, `linking_failed` */
export async function enterCode(world: PhoneWorld, phone: PhoneState, typed: string): Promise<{ deviceJid: string }> {
  const code = normalizeCode(typed)
  if (!code) throw new PhoneError('code_malformed')
  const staged = world.network.findPairingByCodeFor(phone.account.phoneNumber)
  if (!staged) throw new PhoneError('code_unknown')
  const half = await answerCompanionHello(code, staged.wrappedCompanionEphemeral).catch(failedLinking)
  const finish = await staged.offerPrimary(half.wrappedEphemeral, bare(phone.keys.identity.pubKey)).catch(failedLinking)
  const opened = openKeyBundle(half, phone.keys.identity, finish.wrappedKeyBundle, finish.companionIdentity)
  if (!opened) throw new PhoneError('wrong_code')
  if (!bare(finish.companionIdentity).equals(bare(staged.pairing.identityPublicKey))) {
    throw new PhoneError('linking_failed', 'The client finished with another identity than it asked with.')
  }
  return complete(phone, staged.pairing, opened.advSecret)
}

async function complete(phone: PhoneState, pairing: PendingPairing, advSecret: Uint8Array): Promise<{ deviceJid: string }> {
  try {
    const device = pairing.reserveDevice(phone.account)
    const issued = issueIdentity(phone.keys.identity, pairing.identityPublicKey, device, randomInt(1, 2 ** 31))
    return await pairing.complete(phone.account, sealIdentity(issued, advSecret), (answer) => verifyCountersigned(issued, answer))
  } catch (error) {
    return failedLinking(error)
  }
}

function failedLinking(cause: unknown): never {
  throw new PhoneError('linking_failed', cause instanceof Error ? cause.message : undefined, cause)
}
