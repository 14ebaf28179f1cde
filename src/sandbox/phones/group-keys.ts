// The sender keys that group members have told this phone, and decryption of group messages with them.
import {
  GroupCipher,
  GroupSessionBuilder,
  SenderKeyDistributionMessage,
  SenderKeyName,
  SenderKeyRecord,
} from '@whiskeysockets/baileys/lib/Signal/Group/index.js'
import { ProtocolAddress } from 'libsignal'

export type SavedGroupKeys = [name: string, states: ReturnType<SenderKeyRecord['serialize']>][]

export class GroupKeys {
  readonly #records: Map<string, SenderKeyRecord>
  readonly #store = {
    loadSenderKey: async (name: SenderKeyName) => this.#records.get(name.toString()) ?? new SenderKeyRecord(),
    storeSenderKey: async (name: SenderKeyName, record: SenderKeyRecord) => void this.#records.set(name.toString(), record),
  }

  constructor(saved: SavedGroupKeys = []) {
    this.#records = new Map(saved.map(([name, states]) => [name, new SenderKeyRecord(states)]))
  }

  async learn(groupJid: string, signalAddress: string, distribution: Uint8Array): Promise<void> {
    const message = new SenderKeyDistributionMessage(null, null, null, null, distribution)
    await new GroupSessionBuilder(this.#store).process(nameOf(groupJid, signalAddress), message)
  }

  /** @throws Error when the sender's key is not known or the message is not genuine. */
  async decrypt(groupJid: string, signalAddress: string, ciphertext: Uint8Array): Promise<Uint8Array> {
    return new GroupCipher(this.#store, nameOf(groupJid, signalAddress)).decrypt(Buffer.from(ciphertext))
  }

  save(): SavedGroupKeys {
    return Array.from(this.#records, ([name, record]) => [name, record.serialize()])
  }
}

function nameOf(groupJid: string, signalAddress: string): SenderKeyName {
  const dot = signalAddress.lastIndexOf('.')
  return new SenderKeyName(groupJid, new ProtocolAddress(signalAddress.slice(0, dot), Number(signalAddress.slice(dot + 1))))
}
