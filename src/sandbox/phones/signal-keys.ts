// One phone's Signal keys and sessions, in memory, and encryption and decryption with them through libsignal.
import { randomInt } from 'node:crypto'
import { ProtocolAddress, SessionBuilder, SessionCipher, SessionRecord } from 'libsignal'
import type { SignalStorage } from 'libsignal'
import { calculateSignature } from 'libsignal/src/curve.js'
import { hasSeveralSessions, withoutFailedTrials } from '../../platform/failed-trials.ts'
import type { PrekeyBundle } from '../device.ts'
import { withType } from '../wire/keys.ts'
import { isGenuineBundle } from './genuine-bundle.ts'
import { bare, newKeyPair, type KeyPair } from './key-pair.ts'

export type CiphertextType = 'pkmsg' | 'msg'

export interface SavedSignalKeys {
  registrationId: number
  identity: KeyPair
  signedPrekey: { id: number; pair: KeyPair; signature: Uint8Array }
  nextPrekeyId: number
  prekeys: [number, KeyPair][]
  sessions: [string, unknown][]
}

/** One-time keys handed out and not yet used; beyond it the oldest are forgotten and their senders told by a retry receipt. */
const maxPrekeys = 2_000

/** What libsignal's types leave out. */
type OpenableRecord = { getOpenSession(): { indexInfo: { remoteIdentityKey: Uint8Array } } | undefined }

export class SignalKeys {
  readonly registrationId: number
  readonly identity: KeyPair
  readonly #signedPrekey: SavedSignalKeys['signedPrekey']
  readonly #prekeys: Map<number, KeyPair>
  readonly #sessions = new Map<string, SessionRecord>()
  readonly #storage: SignalStorage
  #nextPrekeyId: number

  constructor(saved?: SavedSignalKeys) {
    this.registrationId = saved?.registrationId ?? randomInt(1, 16_381)
    this.identity = saved?.identity ?? newKeyPair()
    this.#signedPrekey = saved?.signedPrekey ?? newSignedPrekey(this.identity)
    this.#nextPrekeyId = saved?.nextPrekeyId ?? 1
    this.#prekeys = new Map(saved?.prekeys)
    for (const [address, record] of saved?.sessions ?? [])
      this.#sessions.set(address, SessionRecord.deserialize(record as Uint8Array))
    this.#storage = this.#createStorage()
  }

  /** A bundle with a one-time key of its own, made now: a phone never runs out. */
  takeBundle(): PrekeyBundle {
    const id = this.#nextPrekeyId
    this.#nextPrekeyId = (id % 0xff_ff_ff) + 1
    const pair = newKeyPair()
    this.#prekeys.set(id, pair)
    const oldest = this.#prekeys.size > maxPrekeys ? this.#prekeys.keys().next().value : undefined
    if (oldest !== undefined) this.#prekeys.delete(oldest)
    const { id: signedId, pair: signedPair, signature } = this.#signedPrekey
    return {
      registrationId: this.registrationId,
      identityKey: bare(this.identity.pubKey),
      signedPrekey: { id: signedId, publicKey: bare(signedPair.pubKey), signature },
      oneTimePrekey: { id, publicKey: bare(pair.pubKey) },
    }
  }

  hasSession(address: string): boolean {
    return this.#sessions.get(address)?.haveOpenSession() === true
  }

  /** The identity key of whoever the open session is with, type byte included. */
  remoteIdentity(address: string): Uint8Array | undefined {
    const record = this.#sessions.get(address) as OpenableRecord | undefined
    return record?.getOpenSession()?.indexInfo.remoteIdentityKey
  }

  dropSession(address: string): void {
    this.#sessions.delete(address)
  }

  /** @throws Error when the signed prekey is not signed by the identity (libsignal does not look when it builds a session). */
  async startSession(address: string, bundle: PrekeyBundle): Promise<void> {
    const identityKey = withType(bundle.identityKey)
    const signedKey = withType(bundle.signedPrekey.publicKey)
    if (!isGenuineBundle(bundle)) {
      throw new Error('The signed prekey does not carry the signature of its identity key.')
    }
    const oneTime = bundle.oneTimePrekey && {
      keyId: bundle.oneTimePrekey.id,
      publicKey: withType(bundle.oneTimePrekey.publicKey),
    }
    await new SessionBuilder(this.#storage, protocolAddress(address)).initOutgoing({
      registrationId: bundle.registrationId,
      identityKey,
      signedPreKey: { keyId: bundle.signedPrekey.id, publicKey: signedKey, signature: bundle.signedPrekey.signature },
      // libsignal takes a missing one-time key, only its types do not say so
      ...(oneTime ? { preKey: oneTime } : {}),
    } as Parameters<SessionBuilder['initOutgoing']>[0])
  }

  async encrypt(address: string, padded: Buffer): Promise<{ type: CiphertextType; ciphertext: Buffer }> {
    const { type, body } = await new SessionCipher(this.#storage, protocolAddress(address)).encrypt(padded)
    return { type: type === 3 ? 'pkmsg' : 'msg', ciphertext: body as unknown as Buffer }
  }

  /** A message that cannot be decrypted leaves the session as it was. @throws what libsignal throws. */
  async decrypt(address: string, type: CiphertextType, ciphertext: Uint8Array): Promise<Buffer> {
    const before = this.#sessions.get(address)?.serialize()
    const cipher = new SessionCipher(this.#storage, protocolAddress(address))
    const bytes = Buffer.from(ciphertext)
    try {
      if (type === 'pkmsg') return await cipher.decryptPreKeyWhisperMessage(bytes)
      const plain = await cipher.decryptWhisperMessage(bytes)
      const after = hasSeveralSessions(before) ? this.#sessions.get(address)?.serialize() : undefined
      const repaired = withoutFailedTrials(before, after)
      if (repaired) this.#sessions.set(address, SessionRecord.deserialize(repaired as Uint8Array))
      return plain
    } catch (error) {
      // libsignal steps the ratchet before it checks the MAC
      if (before) this.#sessions.set(address, SessionRecord.deserialize(before))
      throw error
    }
  }

  save(): SavedSignalKeys {
    return {
      registrationId: this.registrationId,
      identity: this.identity,
      signedPrekey: this.#signedPrekey,
      nextPrekeyId: this.#nextPrekeyId,
      prekeys: [...this.#prekeys],
      sessions: Array.from(this.#sessions, ([address, record]) => [address, record.serialize()]),
    }
  }

  #createStorage(): SignalStorage {
    return {
      loadSession: async (address) => this.#sessions.get(address),
      storeSession: async (address, record) => void this.#sessions.set(address, record),
      isTrustedIdentity: () => true,
      loadPreKey: async (id) => this.#prekeys.get(Number(id)),
      removePreKey: (id) => void this.#prekeys.delete(id),
      loadSignedPreKey: () => this.#signedPrekey.pair,
      getOurRegistrationId: () => this.registrationId,
      getOurIdentity: () => this.identity,
    }
  }
}

function newSignedPrekey(identity: KeyPair): SavedSignalKeys['signedPrekey'] {
  const pair = newKeyPair()
  return { id: 1, pair, signature: calculateSignature(identity.privKey, pair.pubKey) }
}

function protocolAddress(address: string): ProtocolAddress {
  const dot = address.lastIndexOf('.')
  return new ProtocolAddress(address.slice(0, dot), Number(address.slice(dot + 1)))
}
