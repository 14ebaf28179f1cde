// `encrypt`: prekeys brought, counted, checked, rotated, and handed out as bundles.
import { createHash } from 'node:crypto'
import type { BinaryNode } from '@whiskeysockets/baileys'
import type { PrekeyBundle } from '../../device.ts'
import { parseAddress, serverJid } from '../../wire/address.ts'
import { isGenuine, withType } from '../../wire/keys.ts'
import { bigEndian, bytesOf, childOf, childrenOf, nowSeconds, numberOf, stanza } from '../../wire/stanza.ts'
import { deliver, takeBundle, type AccountState, type Companion, type SignedPrekey } from '../accounts.ts'
import type { ServerContext, Session } from '../context.ts'
import type { IqAnswer } from './iq.ts'

const keyType = Buffer.from([5])
/** Below this a device is told to bring new keys. */
const lowPrekeys = 5
const maxPrekeys = 10_000

export function answerEncrypt(ctx: ServerContext, session: Session, iq: BinaryNode): IqAnswer {
  const { companion } = session
  if (iq.attrs['type'] === 'get') {
    if (childOf(iq, 'count')) return [stanza('count', { value: String(companion.prekeys.length) })]
    if (childOf(iq, 'digest')) return [digest(companion)]
    const wanted = childOf(iq, 'key')
    return wanted
      ? [
          stanza(
            'list',
            {},
            childrenOf(wanted).map((user) => answerUser(ctx, user)),
          ),
        ]
      : 400
  }
  const rotated = childOf(iq, 'rotate', 'skey')
  if (rotated) return replaceSignedPrekey(ctx, companion, rotated)
  return upload(ctx, companion, iq)
}

function upload(ctx: ServerContext, companion: Companion, iq: BinaryNode): IqAnswer {
  const signed = readSignedPrekey(companion, childOf(iq, 'skey'))
  const identity = bytesOf(childOf(iq, 'identity'))
  const keys = childrenOf(childOf(iq, 'list')).map((key) => ({
    id: numberOf(childOf(key, 'id')),
    publicKey: bytesOf(childOf(key, 'value')),
  }))
  if (!signed || !identity.equals(companion.identityKey) || keys.some((key) => key.publicKey.length !== 32)) return 406
  const byId = new Map([...companion.prekeys, ...keys].map((key) => [key.id, key]))
  if (byId.size > maxPrekeys) return 406
  companion.prekeys = [...byId.values()]
  companion.signedPrekey = signed
  companion.registrationId = numberOf(childOf(iq, 'registration')) || companion.registrationId
  companion.toldPrekeysLow = false
  ctx.changed()
  return []
}

function replaceSignedPrekey(ctx: ServerContext, companion: Companion, node: BinaryNode): IqAnswer {
  const signed = readSignedPrekey(companion, node)
  if (!signed) return 406
  companion.signedPrekey = signed
  ctx.changed()
  return []
}

/** Undefined when the identity that the device was linked with has not signed it. */
function readSignedPrekey(companion: Companion, node: BinaryNode | undefined): SignedPrekey | undefined {
  const publicKey = bytesOf(childOf(node, 'value'))
  const signature = bytesOf(childOf(node, 'signature'))
  if (publicKey.length !== 32 || !isGenuine(companion.identityKey, withType(publicKey), signature)) return undefined
  return { id: numberOf(childOf(node, 'id')), publicKey, signature }
}

function digest(companion: Companion): BinaryNode {
  const { identityKey, signedPrekey, prekeys } = companion
  const hash = createHash('sha1').update(identityKey).update(signedPrekey.publicKey).update(signedPrekey.signature)
  for (const key of prekeys) hash.update(key.publicKey)
  return stanza('digest', {}, [
    stanza('registration', {}, bigEndian(companion.registrationId, 4)),
    stanza('type', {}, keyType),
    stanza('identity', {}, identityKey),
    signedPrekeyNode(signedPrekey),
    stanza(
      'list',
      {},
      prekeys.map((key) => stanza('id', {}, bigEndian(key.id, 3))),
    ),
    stanza('hash', {}, hash.digest()),
  ])
}

/** The asked address is echoed as it came. */
function answerUser(ctx: ServerContext, user: BinaryNode): BinaryNode {
  const jid = user.attrs['jid']
  const address = parseAddress(jid)
  const owner = address ? ctx.accounts.find(address) : undefined
  const bundle = address && owner ? bundleOf(ctx, owner, address.device) : undefined
  if (!address || !bundle) return stanza('user', { jid }, [stanza('error', { code: '404', text: 'item-not-found' })])
  const identity = owner?.companions.get(address.device)?.deviceIdentity
  return stanza('user', { jid, t: nowSeconds() }, [
    stanza('registration', {}, bigEndian(bundle.registrationId, 4)),
    stanza('type', {}, keyType),
    stanza('identity', {}, Buffer.from(bundle.identityKey)),
    ...(bundle.oneTimePrekey
      ? [
          stanza('key', {}, [
            stanza('id', {}, bigEndian(bundle.oneTimePrekey.id, 3)),
            stanza('value', {}, Buffer.from(bundle.oneTimePrekey.publicKey)),
          ]),
        ]
      : []),
    signedPrekeyNode(bundle.signedPrekey),
    ...(identity ? [stanza('device-identity', {}, identity)] : []),
  ])
}

/** Consumes a one-time key. Undefined: there is no such device. */
export function bundleOf(ctx: ServerContext, owner: AccountState, device: number): PrekeyBundle | undefined {
  if (device === 0) return owner.primary?.takePrekeyBundle()
  const companion = owner.companions.get(device)
  if (!companion) return undefined
  const bundle = takeBundle(companion)
  ctx.changed()
  // A device that has not brought any yet is about to: it asks for the count at its first login.
  if (bundle.oneTimePrekey && companion.prekeys.length < lowPrekeys && !companion.toldPrekeysLow) {
    companion.toldPrekeysLow = true
    const attrs = { from: serverJid, type: 'encrypt', id: `prekeys-${device}-${Date.now()}`, t: nowSeconds() }
    deliver(owner, device, stanza('notification', attrs, [stanza('count', { value: String(companion.prekeys.length) })]))
  }
  return bundle
}

function signedPrekeyNode(key: PrekeyBundle['signedPrekey']): BinaryNode {
  return stanza('skey', {}, [
    stanza('id', {}, bigEndian(key.id, 3)),
    stanza('value', {}, Buffer.from(key.publicKey)),
    stanza('signature', {}, Buffer.from(key.signature)),
  ])
}
