// Companions that wait to be linked: their QR refs, their pairing codes, and the exchange that links them.
import { randomBytes } from 'node:crypto'
import { proto } from '@whiskeysockets/baileys/WAProto/index.js'
import type { Account, PendingPairing, PendingPairingCode } from '../device.ts'
import { lidServer, phoneServer, serverJid } from '../wire/address.ts'
import { bytesOf, childOf, stanza } from '../wire/stanza.ts'
import type { AccountState, Registration } from './accounts.ts'
import { isErrorAnswer, streamEnd, type Connection } from './connection.ts'
import type { OpenCode } from './pairing-code.ts'

const refCount = 6
const firstRefMs = 60_000
const nextRefMs = 20_000
/** Clients turn to the next ref by their own clock; the last one shown may be scanned a little late. */
const graceMs = 20_000
const answerTimeoutMs = 20_000

export interface LinkedDevice {
  state: AccountState
  device: number
  keyIndex: number
  registration: Registration
  /** Encoded ADVSignedDeviceIdentity, whole. */
  deviceIdentity: Buffer
}

export interface PairingDependencies {
  stateOf(account: Account): AccountState | undefined
  /** The answer was genuine: the device belongs to the account from now on. */
  link(linked: LinkedDevice): string
}

export class Pairing implements PendingPairing {
  readonly connection: Connection
  readonly #registration: Registration
  readonly #refs = Array.from({ length: refCount }, () => randomBytes(24).toString('base64url'))
  readonly #shownAt = performance.now()
  readonly #dependencies: PairingDependencies
  #reserved: { state: AccountState; device: number } | undefined
  #isBusy = false

  constructor(connection: Connection, registration: Registration, dependencies: PairingDependencies) {
    this.connection = connection
    this.#registration = registration
    this.#dependencies = dependencies
  }

  get noisePublicKey(): Uint8Array {
    return this.#registration.noisePublicKey
  }

  get identityPublicKey(): Uint8Array {
    return this.#registration.identityKey
  }

  /** Sends the refs for the QR. */
  offerRefs(): void {
    const refs = this.#refs.map((ref) => stanza('ref', {}, Buffer.from(ref)))
    const attrs = { from: serverJid, type: 'set', id: this.connection.newId(), xmlns: 'md' }
    this.connection.send(stanza('iq', attrs, [stanza('pair-device', {}, refs)]))
  }

  holdsRef(ref: string): boolean {
    const index = this.#refs.indexOf(ref)
    const validMs = firstRefMs + index * nextRefMs + graceMs
    return index >= 0 && this.connection.isOpen && performance.now() - this.#shownAt < validMs
  }

  reserveDevice(account: Account): number {
    const state = this.#dependencies.stateOf(account)
    if (!state) throw new Error('The account is not on this server.')
    this.#reserved = { state, device: state.reserveDevice() }
    return this.#reserved.device
  }

  async complete(
    account: Account,
    deviceIdentityHmac: Uint8Array,
    verifySigned: (answer: Uint8Array) => boolean,
  ): Promise<{ deviceJid: string }> {
    if (this.#isBusy) throw new Error('This device is being linked already.')
    if (!this.connection.isOpen) throw new Error('The device that showed the code is no longer connected.')
    if (this.#reserved?.state.account.phoneNumber !== account.phoneNumber) this.reserveDevice(account)
    const reserved = this.#reserved
    if (!reserved) throw new Error('The account is not on this server.')
    this.#isBusy = true
    try {
      return await this.#exchange(reserved, deviceIdentityHmac, verifySigned)
    } finally {
      this.#isBusy = false
    }
  }

  async #exchange(
    { state, device }: { state: AccountState; device: number },
    deviceIdentityHmac: Uint8Array,
    verifySigned: (answer: Uint8Array) => boolean,
  ): Promise<{ deviceJid: string }> {
    const { connection } = this
    const attrs = { from: serverJid, type: 'set', id: connection.newId(), xmlns: 'md' }
    const answer = await connection.ask(
      stanza('iq', attrs, [
        stanza('pair-success', {}, [
          stanza('device-identity', {}, Buffer.from(deviceIdentityHmac)),
          stanza('device', { jid: state.address(phoneServer, device), lid: state.address(lidServer, device) }),
          stanza('platform', { name: 'sandbox' }),
        ]),
      ]),
      answerTimeoutMs,
    )
    if (!answer) throw new Error('The device did not answer: it did not accept the account’s signature, or its connection ended.')
    const signed = bytesOf(childOf(answer, 'pair-device-sign', 'device-identity'))
    if (isErrorAnswer(answer) || signed.length === 0) {
      connection.end(streamEnd.failure(401))
      throw new Error('The device refused to be linked.')
    }
    if (!isTrue(verifySigned, signed)) {
      connection.end(streamEnd.failure(401))
      throw new Error('The device’s signature is not genuine.')
    }
    const { deviceIdentity, keyIndex } = wholeIdentity(deviceIdentityHmac, signed)
    const deviceJid = this.#dependencies.link({ state, device, keyIndex, registration: this.#registration, deviceIdentity })
    connection.end(streamEnd.code(515))
    return { deviceJid }
  }
}

/** A verifier that throws says no. */
function isTrue(verifySigned: (answer: Uint8Array) => boolean, signed: Uint8Array): boolean {
  try {
    const verdict: unknown = verifySigned(signed)
    return verdict === true
  } catch {
    return false
  }
}

/** The answer leaves out the account's key, which the phone's half holds. */
function wholeIdentity(deviceIdentityHmac: Uint8Array, signed: Uint8Array) {
  const { details } = proto.ADVSignedDeviceIdentityHMAC.decode(deviceIdentityHmac)
  const offered = proto.ADVSignedDeviceIdentity.decode(details ?? new Uint8Array())
  const { keyIndex } = proto.ADVDeviceIdentity.decode(offered.details ?? new Uint8Array())
  offered.deviceSignature = proto.ADVSignedDeviceIdentity.decode(signed).deviceSignature ?? null
  const whole = proto.ADVSignedDeviceIdentity.encode(offered).finish()
  return { deviceIdentity: Buffer.from(whole), keyIndex: keyIndex ?? 0 }
}

/** All open pairings. */
export class Pairings {
  readonly #byConnection = new Map<Connection, Pairing>()
  /** The newest code asked for a phone number counts. */
  readonly #codes = new Map<string, OpenCode>()

  add(pairing: Pairing): void {
    this.#byConnection.set(pairing.connection, pairing)
  }

  of(connection: Connection): Pairing | undefined {
    return this.#byConnection.get(connection)
  }

  remove(connection: Connection): void {
    this.#byConnection.delete(connection)
    for (const [number, code] of this.#codes) if (code.pairing.connection === connection) this.#codes.delete(number)
  }

  findByRef(ref: string): Pairing | undefined {
    for (const pairing of this.#byConnection.values()) if (pairing.holdsRef(ref)) return pairing
    return undefined
  }

  addCode(phoneNumber: string, code: OpenCode): void {
    this.#codes.set(phoneNumber, code)
  }

  codeOf(connection: Connection, ref: Buffer): OpenCode | undefined {
    for (const code of this.#codes.values()) if (code.pairing.connection === connection && code.ref.equals(ref)) return code
    return undefined
  }

  findByCodeFor(phoneNumber: string): PendingPairingCode | undefined {
    const code = this.#codes.get(phoneNumber)
    return code?.pairing.connection.isOpen ? code : undefined
  }
}
