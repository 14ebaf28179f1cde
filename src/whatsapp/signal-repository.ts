// Baileys' Signal repository with its commits moved: ours before the bytes leave, theirs after the message is stored.
import { AsyncLocalStorage } from 'node:async_hooks'
import {
  DEFAULT_CONNECTION_CONFIG,
  isHostedLidUser,
  isHostedPnUser,
  isPnUser,
  type AuthenticationState,
  type SignalKeyStoreWithTransaction,
  type UserFacingSocketConfig,
} from '@whiskeysockets/baileys'
import { hasSeveralSessions, withoutFailedTrials } from '../platform/failed-trials.ts'
import { KeyedLock } from './keyed-lock.ts'
import { SignalEncryption } from './signal-encryption.ts'

type MakeSignalRepository = NonNullable<UserFacingSocketConfig['makeSignalRepository']>

interface InboundHandlers {
  /** Called with the ciphertext object of the stanza and what it held; the ratchet moves only when it resolves. */
  onDecrypted(ciphertext: Uint8Array, plaintext: Uint8Array): Promise<void>
  /** Whether the message of that stanza is stored already: its key is used up then, and only its receipt got lost. */
  isStored(ciphertext: Uint8Array): Promise<boolean>
}

/** An empty message and its padding: Baileys sends the receipt for it and nothing else. */
const nothingNew = Uint8Array.of(1)

/**
 * Baileys encrypts inside the transaction of the whole send and commits it after the bytes went out: a crash between the two
 * uses a message key twice. Taken out of that transaction, the ratchet is stored first; a crash then only skips a key.
 *
 * Incoming, it commits the ratchet, sends the delivery receipt and only then tells of the message: a crash loses it, since it
 * can be decrypted once only. Here it is reported between decryption and commit; a crash brings it again, readable. A crash
 * between commit and receipt brings it again too, unreadable but stored: then only the receipt is still owed.
 *
 * One Signal session is known by a phone number to those who send and by a LID to those who receive, and Baileys locks by what
 * it was called: sending and receiving at once lost each other's steps. Here both wait for the same lock.
 *
 * `state` is what Baileys was given; `auth` below is the same with transactions around the keys.
 */
export function durableSignalRepository(state: AuthenticationState, handlers: InboundHandlers): MakeSignalRepository {
  return (auth, logger, findLids) => {
    const repository = DEFAULT_CONNECTION_CONFIG.makeSignalRepository(auth, logger, findLids)
    const inner = { ...repository }
    const keys = auth.keys as SignalKeyStoreWithTransaction
    const outsideTransactions = AsyncLocalStorage.snapshot()
    const lock = new KeyedLock()
    const encryption = new SignalEncryption(state)
    keepTokensOutside(keys, outsideTransactions)

    const decryptAndStore = async (ciphertext: Uint8Array, key: string, decrypt: () => Promise<Uint8Array>) => {
      try {
        return await keys.transaction(async () => {
          const plaintext = await decrypt()
          await handlers.onDecrypted(ciphertext, plaintext)
          return plaintext
        }, key)
      } catch (error) {
        if (await handlers.isStored(ciphertext)) return nothingNew
        throw error
      }
    }
    const sessionAt = async (address: string): Promise<unknown> => (await keys.get('session', [address]))[address]
    /** Inside the transaction of `decrypt`, which is still to be committed. */
    const undoingFailedTrials = async (address: string, decrypt: () => Promise<Uint8Array>) => {
      const before = await sessionAt(address)
      const plaintext = await decrypt()
      const repaired = hasSeveralSessions(before) ? withoutFailedTrials(before, await sessionAt(address)) : null
      if (repaired) await keys.set({ session: { [address]: repaired as never } })
      return plaintext
    }
    const addressOf = async (jid: string): Promise<string> => {
      const lid = isPnUser(jid) ? await repository.lidMapping.getLIDForPN(jid) : null
      return inner.jidToSignalProtocolAddress(lid ?? jid)
    }
    const exclusively = async <T>(jid: string, work: (address: string) => Promise<T>): Promise<T> => {
      const address = await addressOf(jid)
      return lock.run(address, () => work(address))
    }
    return Object.assign(repository, {
      encryptMessage: (options: Parameters<typeof inner.encryptMessage>[0]) =>
        exclusively(options.jid, (address) =>
          isHosted(options.jid)
            ? outsideTransactions(() => inner.encryptMessage(options))
            : encryption.encrypt(address, options.data),
        ),
      validateSession: async (jid: string) => {
        const exists = isHosted(jid) ? null : await encryption.hasOpenSession(await addressOf(jid))
        return exists === null ? inner.validateSession(jid) : { exists }
      },
      injectE2ESession: (options: Parameters<typeof inner.injectE2ESession>[0]) =>
        exclusively(options.jid, () => outsideTransactions(() => inner.injectE2ESession(options))),
      decryptMessage: (options: Parameters<typeof inner.decryptMessage>[0]) =>
        exclusively(options.jid, (address) => {
          const decrypt = () => undoingFailedTrials(address, () => inner.decryptMessage(options))
          return decryptAndStore(options.ciphertext, options.jid, decrypt)
        }),
      encryptGroupMessage: (options: Parameters<typeof inner.encryptGroupMessage>[0]) =>
        lock.run(options.group, () => outsideTransactions(() => inner.encryptGroupMessage(options))),
      decryptGroupMessage: (options: Parameters<typeof inner.decryptGroupMessage>[0]) =>
        lock.run(options.group, () => decryptAndStore(options.msg, options.group, () => inner.decryptGroupMessage(options))),
    })
  }
}

/** Devices of a business' own cloud: Baileys has more rules for their addresses. */
function isHosted(jid: string): boolean {
  return isHostedPnUser(jid) === true || isHostedLidUser(jid) === true
}

/**
 * What Baileys notes of the privacy token it gave a contact comes when the transaction of the send is over, into which it would be written
 * and lost: the token would be given again, with a query to the server, for every message.
 */
function keepTokensOutside(keys: SignalKeyStoreWithTransaction, outside: <T>(work: () => T) => T): void {
  const inner = { ...keys }
  keys.get = (type, ids) => (type === 'tctoken' ? outside(() => inner.get(type, ids)) : inner.get(type, ids))
  keys.set = (data) => {
    const isTokens = Object.keys(data).every((type) => type === 'tctoken')
    return isTokens ? outside(() => inner.set(data)) : inner.set(data)
  }
}
