// Envelope encryption of WhatsApp credentials: a data key per session, wrapped by a master key; the store sees sealed bytes only.
import { randomBytes } from 'node:crypto'
import { seal, unseal } from '../platform/crypto.ts'
import { AppError, hasCode } from '../platform/errors.ts'
import type { CredentialStore, WrappedDataKey } from './credential-store.ts'
import type { KeyRing } from './key-ring.ts'

/** Credentials of one session, fenced by the epoch they were opened with. */
export interface VaultCredentials {
  /** Baileys' creds, or null when there are none. */
  readCreds(): Promise<Uint8Array | null>
  /** Missing ids are absent from the map. */
  readKeys(type: string, ids: string[]): Promise<Map<string, Uint8Array>>
  /** All or none, in one transaction. @throws AppError `stale_epoch` */
  write(entries: { type: string; id: string; value: Uint8Array | null }[]): Promise<void>
  /** The data key goes too: what a backup still holds can never be read again. @throws AppError `stale_epoch` */
  erase(): Promise<void>
}

export interface CredentialVault {
  forSession(sessionId: string, epoch: number): VaultCredentials
  /**
   * One page of rotating the master key: data keys under older master keys are wrapped anew with the current one; nothing that they seal
   * is touched. Safe to run beside everything else, to repeat and to break off. Go on with `lastSessionId` until it is null.
   */
  rewrapPage(
    limit: number,
    afterSessionId?: string,
  ): Promise<{ rewrapped: number; unreadable: string[]; lastSessionId: string | null }>
}

interface VaultDeps {
  credentials: CredentialStore
  keyRing: KeyRing
}

interface OpenDataKey {
  plain: Buffer
  stored: WrappedDataKey
}

const credsType = 'creds'

export function createCredentialVault(deps: VaultDeps): CredentialVault {
  return {
    forSession: (sessionId, epoch) => new SessionVault(deps, sessionId, epoch),

    rewrapPage: async (limit, afterSessionId) => {
      const { credentials, keyRing } = deps
      const page = await credentials.listWrappedByOthers(keyRing.currentId, limit, afterSessionId)
      const unreadable: string[] = []
      let rewrapped = 0
      for (const { sessionId, dataKey } of page) {
        try {
          const plain = unwrap(keyRing, sessionId, dataKey)
          if (await credentials.rewrap(sessionId, dataKey.masterKeyId, wrap(keyRing, sessionId, plain))) rewrapped += 1
        } catch (error) {
          if (!hasCode(error, 'credentials_unreadable')) throw error
          unreadable.push(sessionId)
        }
      }
      return { rewrapped, unreadable, lastSessionId: page.length < limit ? null : (page.at(-1)?.sessionId ?? null) }
    },
  }
}

class SessionVault implements VaultCredentials {
  readonly #deps: VaultDeps
  readonly #sessionId: string
  readonly #epoch: number
  /** The only cache: one key for as long as the session is held. */
  #dataKey: Promise<OpenDataKey | null> | undefined

  constructor(deps: VaultDeps, sessionId: string, epoch: number) {
    this.#deps = deps
    this.#sessionId = sessionId
    this.#epoch = epoch
  }

  async readCreds(): Promise<Uint8Array | null> {
    return (await this.readKeys(credsType, [''])).get('') ?? null
  }

  async readKeys(type: string, ids: string[]): Promise<Map<string, Uint8Array>> {
    if (ids.length === 0) return new Map()
    try {
      return await this.#readAndOpen(type, ids)
    } catch (error) {
      if (!hasCode(error, 'credentials_unreadable')) throw error
      // Erased and begun anew through another object: the key in memory is not the stored one.
      this.#dataKey = undefined
      return this.#readAndOpen(type, ids)
    }
  }

  async write(entries: { type: string; id: string; value: Uint8Array | null }[]): Promise<void> {
    const dataKey = await this.#dataKeyForWriting()
    try {
      await this.#put(dataKey, entries)
    } catch (error) {
      if (!hasCode(error, 'conflict')) throw error
      // Rewrapped by a rotation, or erased and begun anew through another object: what counts is the key that is stored now.
      this.#dataKey = undefined
      await this.#put(await this.#dataKeyForWriting(), entries)
    }
  }

  async erase(): Promise<void> {
    await this.#deps.credentials.erase(this.#sessionId, this.#epoch)
    this.#dataKey = undefined
  }

  #put(dataKey: OpenDataKey, entries: { type: string; id: string; value: Uint8Array | null }[]): Promise<void> {
    const sealed = entries.map(({ type, id, value }) => ({
      type,
      id,
      value: value && seal(dataKey.plain, value, this.#context(type, id)),
    }))
    return this.#deps.credentials.write(this.#sessionId, this.#epoch, sealed, dataKey.stored)
  }

  #open(dataKey: OpenDataKey, type: string, id: string, bytes: Uint8Array): Buffer {
    try {
      return unseal(dataKey.plain, bytes, this.#context(type, id))
    } catch (cause) {
      throw new AppError('credentials_unreadable', undefined, { cause })
    }
  }

  /** Binds the bytes to their place: an entry copied to another session, type or id does not open. */
  #context(type: string, id: string): string {
    return `${this.#sessionId}|${type}|${id}`
  }

  async #readAndOpen(type: string, ids: string[]): Promise<Map<string, Uint8Array>> {
    const sealed = await this.#deps.credentials.read(this.#sessionId, type, ids)
    const opened = new Map<string, Uint8Array>()
    if (sealed.size === 0) return opened
    const dataKey = await this.#remember(this.#dataKey ?? this.#readDataKey())
    if (!dataKey) throw new AppError('credentials_unreadable')
    for (const [id, bytes] of sealed) opened.set(id, this.#open(dataKey, type, id, bytes))
    return opened
  }

  /** Makes a key when there is none yet: it reaches the store with the first entries, in their transaction. */
  #dataKeyForWriting(): Promise<OpenDataKey> {
    return this.#remember((this.#dataKey ?? this.#readDataKey()).then((found) => found ?? this.#newDataKey()))
  }

  async #readDataKey(): Promise<OpenDataKey | null> {
    const stored = await this.#deps.credentials.readDataKey(this.#sessionId)
    return stored && { plain: unwrap(this.#deps.keyRing, this.#sessionId, stored), stored }
  }

  /** Callers of one moment share one promise; a failure or "none" is not kept. */
  async #remember<T extends OpenDataKey | null>(promise: Promise<T>): Promise<T> {
    this.#dataKey = promise
    const forget = () => {
      if (this.#dataKey === promise) this.#dataKey = undefined
    }
    try {
      const found = await promise
      if (!found) forget()
      return found
    } catch (error) {
      forget()
      throw error
    }
  }

  #newDataKey(): OpenDataKey {
    const plain = randomBytes(32)
    return { plain, stored: wrap(this.#deps.keyRing, this.#sessionId, plain) }
  }
}

function wrap(keyRing: KeyRing, sessionId: string, plain: Buffer): WrappedDataKey {
  const { keyId, sealed } = keyRing.sealWithCurrent(wrapContext(sessionId), plain)
  return { masterKeyId: keyId, wrapped: sealed }
}

function unwrap(keyRing: KeyRing, sessionId: string, stored: WrappedDataKey): Buffer {
  return keyRing.unsealWith(stored.masterKeyId, wrapContext(sessionId), stored.wrapped)
}

function wrapContext(sessionId: string): string {
  return `${sessionId}|data-key`
}
