// Baileys' Signal repository with its commits moved: ours before the bytes leave, theirs after the message is stored.
import { AsyncLocalStorage } from 'node:async_hooks'
import {
  DEFAULT_CONNECTION_CONFIG,
  type SignalKeyStoreWithTransaction,
  type UserFacingSocketConfig,
} from '@whiskeysockets/baileys'

type MakeSignalRepository = NonNullable<UserFacingSocketConfig['makeSignalRepository']>
/** Called with the ciphertext object of the stanza and what it held; the ratchet moves only when it resolves. */
type OnDecrypted = (ciphertext: Uint8Array, plaintext: Uint8Array) => Promise<void>

/**
 * Baileys encrypts inside the transaction of the whole send and commits it after the bytes went out: a crash between the two
 * uses a message key twice. Taken out of that transaction, the ratchet is stored first; a crash then only skips a key.
 *
 * Incoming, it commits the ratchet, sends the delivery receipt and only then tells of the message: a crash loses it, since it
 * can be decrypted once only. Here it is reported between decryption and commit; a crash brings it again, readable.
 */
export function durableSignalRepository(onDecrypted: OnDecrypted): MakeSignalRepository {
  return (auth, logger, findLids) => {
    const repository = DEFAULT_CONNECTION_CONFIG.makeSignalRepository(auth, logger, findLids)
    const inner = { ...repository }
    const keys = auth.keys as SignalKeyStoreWithTransaction
    const outsideTransactions = AsyncLocalStorage.snapshot()
    return Object.assign(repository, {
      encryptMessage: (...args: Parameters<typeof inner.encryptMessage>) =>
        outsideTransactions(() => inner.encryptMessage(...args)),
      encryptGroupMessage: (...args: Parameters<typeof inner.encryptGroupMessage>) =>
        outsideTransactions(() => inner.encryptGroupMessage(...args)),
      injectE2ESession: (...args: Parameters<typeof inner.injectE2ESession>) =>
        outsideTransactions(() => inner.injectE2ESession(...args)),
      decryptMessage: (options: Parameters<typeof inner.decryptMessage>[0]) =>
        keys.transaction(async () => {
          const plaintext = await inner.decryptMessage(options)
          await onDecrypted(options.ciphertext, plaintext)
          return plaintext
        }, options.jid),
      decryptGroupMessage: (options: Parameters<typeof inner.decryptGroupMessage>[0]) =>
        keys.transaction(async () => {
          const plaintext = await inner.decryptGroupMessage(options)
          await onDecrypted(options.msg, plaintext)
          return plaintext
        }, options.group),
    })
  }
}
