// Encrypting for one device straight over the key store: what Baileys does through two transactions and a second copy of the record.
import { generateSignalPubKey, type AuthenticationState, type SignalRepositoryWithLIDStore } from '@whiskeysockets/baileys'
import { ProtocolAddress, SessionCipher, SessionRecord, type SignalStorage } from 'libsignal'

type KeyStore = AuthenticationState['keys']
type Encrypted = Awaited<ReturnType<SignalRepositoryWithLIDStore['encryptMessage']>>

const prekeyMessage = 3

export class SignalEncryption {
  readonly #keys: KeyStore
  readonly #creds: AuthenticationState['creds']

  /** `keys`: those that are stored when `set` resolves, without transactions. */
  constructor({ creds, keys }: AuthenticationState) {
    this.#creds = creds
    this.#keys = keys
  }

  /** Resolves when the step of the ratchet is stored. One at a time per address: the caller sees to it. */
  async encrypt(address: string, data: Uint8Array): Promise<Encrypted> {
    let record: SessionRecord | undefined
    const stored: unknown = await this.#read(address)
    const storage = {
      loadSession: () => Promise.resolve(stored ? SessionRecord.deserialize(stored as Uint8Array) : null),
      // Written below: libsignal queues by address for the whole process, and other sessions must not wait for our disk.
      storeSession: (_: string, changed: SessionRecord) => {
        record = changed
        return Promise.resolve()
      },
      isTrustedIdentity: () => true,
      getOurRegistrationId: () => this.#creds.registrationId,
      getOurIdentity: () => {
        const { private: privKey, public: pubKey } = this.#creds.signedIdentityKey
        return { privKey: Buffer.from(privKey), pubKey: Buffer.from(generateSignalPubKey(pubKey)) }
      },
    } satisfies Partial<SignalStorage>
    const cipher = new SessionCipher(storage as unknown as SignalStorage, protocolAddress(address))
    const { type, body } = await cipher.encrypt(data)
    if (record) await this.#keys.set({ session: { [address]: record.serialize() } })
    return { type: type === prekeyMessage ? 'pkmsg' : 'msg', ciphertext: Buffer.from(body, 'binary') }
  }

  /** Whether messages can be encrypted for it; null when the record is of another shape than libsignal's present one. */
  async hasOpenSession(address: string): Promise<boolean | null> {
    const stored = await this.#read(address)
    if (stored === undefined) return false
    const sessions = sessionsOf(stored)
    if (!sessions) return null
    const open = Object.values(sessions).find(({ indexInfo }) => indexInfo?.closed === -1)
    return typeof open?.registrationId === 'number'
  }

  async #read(address: string): Promise<unknown> {
    return (await this.#keys.get('session', [address]))[address]
  }
}

interface SerializedSession {
  registrationId?: unknown
  indexInfo?: { closed?: unknown }
}

function sessionsOf(record: unknown): Record<string, SerializedSession> | null {
  if (typeof record !== 'object' || record === null || !('version' in record) || !('_sessions' in record)) return null
  return record._sessions as Record<string, SerializedSession>
}

/** `<user>[_<domain>].<device>` */
function protocolAddress(address: string): ProtocolAddress {
  const at = address.lastIndexOf('.')
  return new ProtocolAddress(address.slice(0, at), Number(address.slice(at + 1)))
}
