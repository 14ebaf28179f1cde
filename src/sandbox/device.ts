// The line between the sandbox's server (sockets, stanzas, routing) and its phones (people, Signal keys, chats).
import type { BinaryNode } from '@whiskeysockets/baileys'

/** A WhatsApp account of the sandbox: one person with one phone number, one LID and a primary device (the phone). */
export interface Account {
  /** Digits only, no plus. */
  readonly phoneNumber: string
  /** The user part of the LID, digits only. */
  readonly lid: string
  name: string
}

/** What `<list><user><key>` answers carry. All keys without the 0x05 type byte. */
export interface PrekeyBundle {
  registrationId: number
  identityKey: Uint8Array
  signedPrekey: { id: number; publicKey: Uint8Array; signature: Uint8Array }
  /** Missing when the device has used up its one-time keys. */
  oneTimePrekey?: { id: number; publicKey: Uint8Array }
}

/** The phone as the server sees it: the account's device 0, living in this process and always online. */
export interface PrimaryDevice {
  readonly account: Account
  /** A stanza for this device: `message`, `receipt`, `notification`, `ack`. Must not throw; works on later ticks. */
  deliver(stanza: BinaryNode): void
  takePrekeyBundle(): PrekeyBundle
  /** The server tells what happened to the account's linked devices. */
  companionLinked(deviceJid: string): void
  companionUnlinked(deviceJid: string): void
}

/** A companion that asks to be linked and waits on an open socket. */
export interface PendingPairing {
  /** Refs shown in the QR and still valid now. */
  holdsRef(ref: string): boolean
  readonly noisePublicKey: Uint8Array
  readonly identityPublicKey: Uint8Array
  /** The device number this companion will have (1…99) in the account that links it. */
  reserveDevice(account: Account): number
  /**
   * Sends pair-success. `deviceIdentityHmac` = encoded ADVSignedDeviceIdentityHMAC made by the phone.
   * `verifySigned(bytes)` is called with the companion's pair-device-sign answer (encoded ADVSignedDeviceIdentity) and says
   * whether its device signature is genuine (libsignal's own verify === true). Resolves when the companion is linked, rejects
   * with a sentence when the answer is missing or false.
   */
  complete(
    account: Account,
    deviceIdentityHmac: Uint8Array,
    verifySigned: (answer: Uint8Array) => boolean,
  ): Promise<{ deviceJid: string }>
}

/** The pairing-code half: what companion_hello staged, waiting for a phone to type the code. */
export interface PendingPairingCode {
  readonly pairing: PendingPairing
  readonly ref: Uint8Array
  /** salt32 | iv16 | AES-CTR(ephemeral public key). */
  readonly wrappedCompanionEphemeral: Uint8Array
  readonly companionServerAuthKey: Uint8Array
  /** Tells the companion the primary's half; resolves with companion_finish's content, rejects after a bounded wait. */
  offerPrimary(
    wrappedPrimaryEphemeral: Uint8Array,
    primaryIdentity: Uint8Array,
  ): Promise<{ wrappedKeyBundle: Uint8Array; companionIdentity: Uint8Array }>
}

/** What the server offers to phones and to the control API. Implemented by the server. */
export interface SandboxNetwork {
  /** Adds a primary device; from now on its number and LID are on WhatsApp. */
  addPrimary(device: PrimaryDevice): void
  /** A stanza sent by a phone (device 0): routed as if it came from a socket. Acks come back through `deliver`. */
  sendFromPrimary(account: Account, stanza: BinaryNode): void
  /** All device JIDs of an account (`user@s.whatsapp.net`, `user:3@s.whatsapp.net`), the phone included; empty when unknown. */
  devicesOf(phoneNumberOrLid: string): string[]
  accountOf(phoneNumberOrLid: string): Account | undefined
  /** One bundle per asked device, consuming a one-time key each. Unknown devices are absent. */
  prekeyBundles(deviceJids: string[]): Map<string, PrekeyBundle>
  findPairingByRef(ref: string): PendingPairing | undefined
  findPairingByCodeFor(phoneNumber: string): PendingPairingCode | undefined
  /** Removes the linked device (all, when none is named): 401 device_removed on its socket, or at its next login. Answers the ids of messages and receipts that waited for it. */
  unlink(account: Account, deviceJid?: string): string[]
  /** Forgets every account, device, pairing and queue, and closes all sockets. */
  reset(): void
  /**
   * Registers a part of the state that outlives the process when there is a data directory. `restore` is called at once, in this
   * very call, when a former process left something under that name.
   */
  keep(part: SnapshotPart): void
  /** Says that kept state changed, so that it is written soon (debounced). The server calls it for its own changes itself. */
  changed(): void
}

/** A half's own state: plain data; Buffers and Uint8Arrays are carried as such. */
export interface SnapshotPart {
  readonly name: string
  /** An iterator, for what is large: its values are written with pauses between them, and restored as an array. */
  snapshot(): unknown
  restore(saved: unknown): void
}
