// Linking by a code typed on the phone: passes the two halves of the key exchange between the companion and the phone.
import { randomBytes } from 'node:crypto'
import type { BinaryNode } from '@whiskeysockets/baileys'
import type { PendingPairingCode } from '../device.ts'
import { parseAddress, serverJid } from '../wire/address.ts'
import { bytesOf, childOf, nowSeconds, stanza } from '../wire/stanza.ts'
import type { Pairing, Pairings } from './pairings.ts'

const finishTimeoutMs = 20_000
const wrappedKeyLength = 80

type Finish = { wrappedKeyBundle: Uint8Array; companionIdentity: Uint8Array }

export class OpenCode implements PendingPairingCode {
  readonly pairing: Pairing
  readonly ref = randomBytes(16)
  readonly wrappedCompanionEphemeral: Uint8Array
  readonly companionServerAuthKey: Uint8Array
  #finish: ((finish: Finish) => void) | undefined

  constructor(pairing: Pairing, wrappedCompanionEphemeral: Uint8Array, companionServerAuthKey: Uint8Array) {
    this.pairing = pairing
    this.wrappedCompanionEphemeral = wrappedCompanionEphemeral
    this.companionServerAuthKey = companionServerAuthKey
  }

  async offerPrimary(wrappedPrimaryEphemeral: Uint8Array, primaryIdentity: Uint8Array): Promise<Finish> {
    const { connection } = this.pairing
    if (!connection.isOpen) throw new Error('The device that showed the code is no longer connected.')
    if (this.#finish) throw new Error('This code is being entered already.')
    const attrs = { from: serverJid, type: 'link_code_companion_reg', id: connection.newId(), t: nowSeconds() }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#finish = undefined
        reject(new Error('The device did not finish the exchange of keys.'))
      }, finishTimeoutMs)
      this.#finish = (finish) => {
        clearTimeout(timer)
        this.#finish = undefined
        resolve(finish)
      }
      connection.send(
        stanza('notification', attrs, [
          stanza('link_code_companion_reg', { stage: 'primary_hello' }, [
            stanza('link_code_pairing_wrapped_primary_ephemeral_pub', {}, Buffer.from(wrappedPrimaryEphemeral)),
            stanza('primary_identity_pub', {}, Buffer.from(primaryIdentity)),
            stanza('link_code_pairing_ref', {}, this.ref),
          ]),
        ]),
      )
    })
  }

  /** Says whether somebody waited for it. */
  finish(finish: Finish): boolean {
    const wanted = this.#finish !== undefined
    this.#finish?.(finish)
    return wanted
  }
}

/** Answers `<link_code_companion_reg>`: the children of the result, or the error's number. */
export function answerLinkCode(pairings: Pairings, pairing: Pairing, request: BinaryNode): BinaryNode[] | number {
  if (request.attrs['stage'] === 'companion_hello') return hello(pairings, pairing, request)
  if (request.attrs['stage'] === 'companion_finish') return finish(pairings, pairing, request)
  return 400
}

function hello(pairings: Pairings, pairing: Pairing, request: BinaryNode): BinaryNode[] | number {
  const phone = parseAddress(request.attrs['jid'])
  const wrapped = bytesOf(childOf(request, 'link_code_pairing_wrapped_companion_ephemeral_pub'))
  const authKey = bytesOf(childOf(request, 'companion_server_auth_key_pub'))
  if (!phone || wrapped.length !== wrappedKeyLength || authKey.length !== 32) return 400
  const code = new OpenCode(pairing, wrapped, authKey)
  pairings.addCode(phone.user, code)
  const ref = stanza('link_code_pairing_ref', {}, code.ref)
  return [stanza('link_code_companion_reg', { stage: 'companion_hello' }, [ref])]
}

function finish(pairings: Pairings, pairing: Pairing, request: BinaryNode): BinaryNode[] | number {
  const code = pairings.codeOf(pairing.connection, bytesOf(childOf(request, 'link_code_pairing_ref')))
  const wrappedKeyBundle = bytesOf(childOf(request, 'link_code_pairing_wrapped_key_bundle'))
  const companionIdentity = bytesOf(childOf(request, 'companion_identity_public'))
  if (!code) return 404
  if (wrappedKeyBundle.length === 0 || companionIdentity.length !== 32) return 400
  return code.finish({ wrappedKeyBundle, companionIdentity }) ? [] : 404
}
