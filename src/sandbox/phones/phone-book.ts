// All phones of the sandbox, by number: adding them, finding them, keeping them over a restart.
import { createHash } from 'node:crypto'
import type { SandboxNetwork } from '../device.ts'
import { Phone, type SavedPhone } from './phone.ts'
import { PhoneError } from './phone-error.ts'
import type { PhoneSettings, PhoneWorld } from './phone-state.ts'
import { WorkQueue } from './work-queue.ts'

const maxPhones = 10_000

export interface NewPhone {
  /** Digits only. */
  phoneNumber: string
  name?: string
  settings: PhoneSettings
}

export class PhoneBook {
  readonly #world: PhoneWorld
  readonly #work = new WorkQueue()
  #phones = new Map<string, Phone>()

  constructor(deps: Omit<PhoneWorld, 'identityOf' | 'trustedCompanions'>) {
    const identityOf = (phoneNumber: string) => this.#phones.get(phoneNumber)?.keys.identity.pubKey
    this.#world = { ...deps, identityOf, trustedCompanions: new Set() }
    deps.network.keep({
      name: 'phones',
      snapshot: () => this.#phones.values().map((phone) => phone.save()),
      restore: (saved) => {
        for (const each of saved as SavedPhone[]) this.#add(new Phone(this.#world, this.#work, each))
      },
    })
  }

  /** @throws PhoneError `phone_exists`, `too_many_phones` */
  create({ phoneNumber, name, settings }: NewPhone): Phone {
    const { network } = this.#world
    if (this.#phones.has(phoneNumber)) throw new PhoneError('phone_exists')
    if (this.#phones.size >= maxPhones) throw new PhoneError('too_many_phones')
    const account = { phoneNumber, lid: newLid(network, phoneNumber), name: name ?? `Phone ${phoneNumber.slice(-4)}` }
    const phone = new Phone(this.#world, this.#work, { account, settings })
    this.#add(phone)
    network.changed()
    return phone
  }

  find(phoneNumber: string): Phone | undefined {
    return this.#phones.get(phoneNumber)
  }

  /** In the order they were added. */
  list(): Phone[] {
    return [...this.#phones.values()]
  }

  /** All phones are gone; the network is reset by the caller. */
  clear(): void {
    for (const phone of this.#phones.values()) phone.remove()
    this.#phones = new Map()
    this.#world.trustedCompanions.clear()
  }

  #add(phone: Phone): void {
    this.#phones.set(phone.account.phoneNumber, phone)
    this.#world.network.addPrimary(phone)
  }
}

/** Fifteen digits that follow from the number, so that a phone added anew after a reset has the LID it had. */
function newLid(network: SandboxNetwork, phoneNumber: string): string {
  const digest = createHash('sha256').update(`lid ${phoneNumber}`).digest()
  for (let salt = 0n; ; salt += 1n) {
    const lid = String(100_000_000_000_000n + ((digest.readBigUInt64BE() + salt) % 900_000_000_000_000n))
    if (lid !== phoneNumber && !network.accountOf(lid)) return lid
  }
}
