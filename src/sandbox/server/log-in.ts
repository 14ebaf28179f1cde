// What a connection becomes when its handshake is done: a pairing, a session of a linked device, or nothing.
import { proto } from '@whiskeysockets/baileys/WAProto/index.js'
import { lidServer } from '../wire/address.ts'
import type { FinishedHandshake } from '../wire/handshake.ts'
import { isGenuine, withType } from '../wire/keys.ts'
import { nowSeconds, stanza } from '../wire/stanza.ts'
import type { Registration } from './accounts.ts'
import { streamEnd, type Connection } from './connection.ts'
import type { ServerContext, Session } from './context.ts'

/** Reads a registration; undefined when it is incomplete or its signed prekey is not signed by its identity. */
export function readRegistration(
  data: proto.ClientPayload.IDevicePairingRegistrationData,
  noisePublicKey: Buffer,
): Registration | undefined {
  const identityKey = Buffer.from(data.eIdent ?? [])
  const registration = Buffer.from(data.eRegid ?? [])
  const prekeyId = Buffer.from(data.eSkeyId ?? [])
  const publicKey = Buffer.from(data.eSkeyVal ?? [])
  const signature = Buffer.from(data.eSkeySig ?? [])
  if (identityKey.length !== 32 || registration.length !== 4 || prekeyId.length !== 3 || publicKey.length !== 32) return undefined
  if (!isGenuine(identityKey, withType(publicKey), signature)) return undefined
  return {
    noisePublicKey,
    identityKey,
    registrationId: registration.readUInt32BE(),
    signedPrekey: { id: prekeyId.readUIntBE(0, 3), publicKey, signature },
  }
}

/** Logs a linked device in; the socket it had before is told that it was replaced. Undefined: refused, and the connection ends. */
export function logIn(
  ctx: ServerContext,
  connection: Connection,
  handshake: FinishedHandshake,
  payload: proto.ClientPayload,
): Session | undefined {
  const state = ctx.accounts.find(String(payload.username ?? ''))
  const companion = state?.companions.get(payload.device ?? 0)
  if (!state || !companion?.noisePublicKey.equals(handshake.clientStaticKey)) {
    ctx.log.info({ phoneNumber: String(payload.username ?? ''), device: payload.device }, 'sandbox.login_refused')
    connection.end(streamEnd.failure(401))
    return undefined
  }
  const failing = ctx.faults.take('login_failure', state.account.phoneNumber)
  if (failing) {
    connection.end(streamEnd.failure(failing.code))
    return undefined
  }
  const former = companion.connection
  if (former?.isStalled) former.reset()
  else former?.end(streamEnd.replaced())
  companion.connection = connection
  connection.phoneNumber = state.account.phoneNumber
  if (payload.pushName) companion.pushName = payload.pushName
  connection.stall(ctx.faults.take('stall', connection.phoneNumber) !== undefined)
  connection.send(
    stanza('success', {
      t: nowSeconds(),
      lid: state.address(lidServer, companion.device),
      props: '1',
      location: 'sandbox',
      status: '0',
    }),
  )
  ctx.stats.logins += 1
  const session = { state, companion, connection }
  if (payload.passive !== true) activate(session)
  return session
}

/** The device takes deliveries: first what it has not acked yet, then the count, from now on everything at once. */
export function activate({ companion, connection }: Session): void {
  if (connection.isActive || !connection.isOpen) return
  const waiting = companion.inbox.waiting()
  for (const node of waiting) connection.send({ ...node, attrs: { ...node.attrs, offline: '0' } })
  connection.send(stanza('ib', {}, [stanza('offline', { count: String(waiting.length) })]))
  connection.isActive = true
}
