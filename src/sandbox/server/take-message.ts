// A message that came over a socket: faults first, then its way to the recipients, then the ack.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { nowSeconds, stanza } from '../wire/stanza.ts'
import type { ServerContext, Session } from './context.ts'
import { ackError, routeMessage, type Routed } from './route-message.ts'

export function takeMessage(ctx: ServerContext, { state, companion, connection }: Session, message: BinaryNode): void {
  const { phoneNumber } = state.account
  const sender = { state, device: companion.device }
  if (message.attrs['category'] === 'peer') {
    // Housekeeping between the account's own devices: no message of a person, so neither counted nor disturbed.
    connection.send(messageAck(message, routeMessage(ctx, sender, message)))
    return
  }
  ctx.stats.frames += 1
  const refused = ctx.faults.take('ack_error', phoneNumber)
  let routed: Routed
  if (refused) routed = { error: refused.code }
  else if (isRestricted(ctx, phoneNumber, message)) routed = { error: ackError.restricted }
  else routed = routeMessage(ctx, sender, message)
  const isAcked = connection.isOpen && !ctx.faults.take('drop_acks', phoneNumber)
  const { id = '', to = '' } = message.attrs
  const outcome = routed.error ?? (isAcked ? 'taken' : 'unacked')
  ctx.frames.add({ phoneNumber, device: companion.device, socket: connection.number, id, to, outcome })
  if (!isAcked) return
  connection.send(messageAck(message, routed))
  ctx.stats.acks += 1
}

export function messageAck(message: BinaryNode, { error, phash }: Routed): BinaryNode {
  const { id, to, participant } = message.attrs
  return stanza('ack', { class: 'message', id, from: to, participant, t: nowSeconds(), phash, error: error?.toString() })
}

/** Under a restriction an account may only answer those who wrote to it. */
function isRestricted(ctx: ServerContext, phoneNumber: string, message: BinaryNode): boolean {
  const target = ctx.accounts.find(message.attrs['to'] ?? '')
  if (!target || target.account.phoneNumber === phoneNumber) return false
  if (!ctx.faults.take('restrict', phoneNumber)) return false
  return !ctx.accounts.find(phoneNumber)?.writers.has(target.account.phoneNumber)
}
