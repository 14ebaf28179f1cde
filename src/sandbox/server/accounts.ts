// Everybody on the sandbox's WhatsApp: accounts, the phone of each, and the devices linked to it.
import type { BinaryNode } from '@whiskeysockets/baileys'
import type { Account, PrekeyBundle, PrimaryDevice } from '../device.ts'
import { formatAddress, lidServer, parseAddress, phoneServer, type Address } from '../wire/address.ts'
import type { Connection } from './connection.ts'
import { Inbox } from './inbox.ts'

export interface SignedPrekey {
  id: number
  publicKey: Buffer
  signature: Buffer
}

/** What a companion says of itself when it registers. */
export interface Registration {
  noisePublicKey: Buffer
  identityKey: Buffer
  registrationId: number
  signedPrekey: SignedPrekey
}

/** A linked device. Its connection is the newest socket that logged in as it. */
export interface Companion extends Registration {
  readonly device: number
  readonly keyIndex: number
  /** Encoded ADVSignedDeviceIdentity with both signatures and the account's key. */
  readonly deviceIdentity: Buffer
  readonly inbox: Inbox
  prekeys: { id: number; publicKey: Buffer }[]
  /** Whether it has been told that its keys run out, since it last brought some. */
  toldPrekeysLow: boolean
  pushName: string | undefined
  connection: Connection | undefined
}

export class AccountState {
  account: Account
  readonly companions = new Map<number, Companion>()
  /** Phone numbers of those who know this account's device list and must hear of changes. */
  readonly watchers = new Set<string>()
  /** Phone numbers of those who ever wrote to this account. */
  readonly writers = new Set<string>()
  primary: PrimaryDevice | undefined
  lastDevice = 0

  constructor(account: Account) {
    this.account = account
  }

  /** The account's own address, or that of one of its devices, in the addressing of `server`. */
  address(server: string, device = 0): string {
    return formatAddress(server === lidServer ? this.account.lid : this.account.phoneNumber, device, serverOf(server))
  }

  /** Device numbers, the phone (0) first. */
  devices(): number[] {
    const linked = [...this.companions.keys()].toSorted((a, b) => a - b)
    return this.primary ? [0, ...linked] : linked
  }

  deviceAddresses(server: string): string[] {
    return this.devices().map((device) => this.address(server, device))
  }

  /** The next device number: 1 to 99, one that is not in use. */
  reserveDevice(): number {
    for (let tries = 0; tries < 99; tries += 1) {
      this.lastDevice = (this.lastDevice % 99) + 1
      if (!this.companions.has(this.lastDevice)) return this.lastDevice
    }
    throw new Error('The account has no room for another device.')
  }
}

export class Accounts {
  readonly #byNumber = new Map<string, AccountState>()
  readonly #byLid = new Map<string, AccountState>()

  add(account: Account): AccountState {
    const known = this.#byNumber.get(account.phoneNumber)
    if (known) return known
    const state = new AccountState(account)
    this.#byNumber.set(account.phoneNumber, state)
    this.#byLid.set(account.lid, state)
    return state
  }

  /** By digits (phone number or LID) or by address. */
  find(who: string | Address): AccountState | undefined {
    const address = typeof who === 'string' && who.includes('@') ? parseAddress(who) : who
    if (address === undefined) return undefined
    if (typeof address === 'string') return this.#byNumber.get(address) ?? this.#byLid.get(address)
    return address.server === lidServer ? this.#byLid.get(address.user) : this.#byNumber.get(address.user)
  }

  all(): IterableIterator<AccountState> {
    return this.#byNumber.values()
  }

  clear(): void {
    this.#byNumber.clear()
    this.#byLid.clear()
  }
}

/** Takes one of the companion's one-time keys, unless all have been taken. */
export function takeBundle(companion: Companion): PrekeyBundle {
  const oneTimePrekey = companion.prekeys.shift()
  const { registrationId, identityKey, signedPrekey } = companion
  return { registrationId, identityKey, signedPrekey, ...(oneTimePrekey ? { oneTimePrekey } : {}) }
}

/** Keeps the stanza for a linked device and writes it when the device takes deliveries now; the phone gets it at once. */
export function deliver(to: AccountState, device: number, stanza: BinaryNode): void {
  if (device === 0) {
    to.primary?.deliver(stanza)
    return
  }
  const companion = to.companions.get(device)
  if (!companion) return
  companion.inbox.add(stanza)
  if (companion.connection?.isActive) companion.connection.send(stanza)
}

function serverOf(server: string): string {
  return server === lidServer ? lidServer : phoneServer
}
