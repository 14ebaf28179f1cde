// Receipts: passed on to the devices they concern, with the address form of the message they answer.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { groupServer, lidServer, parseAddress, phoneServer } from '../wire/address.ts'
import { nowSeconds, stanza } from '../wire/stanza.ts'
import { deliver } from './accounts.ts'
import type { ServerContext } from './context.ts'
import type { Sender } from './route-message.ts'

/** A delivery receipt from a device whose person is not looking is a delivery all the same. */
const plainTypes = new Set(['inactive', 'delivery'])

export function routeReceipt(ctx: ServerContext, sender: Sender, receipt: BinaryNode): void {
  const to = parseAddress(receipt.attrs['to'])
  const id = receipt.attrs['id']
  if (!to || id === undefined) return
  const given = receipt.attrs['type']
  const type = given !== undefined && plainTypes.has(given) ? undefined : given
  const attrs: Record<string, string | undefined> = { id, type, t: receipt.attrs['t'] ?? nowSeconds() }
  // In a group or list, the participant is who wrote the message.
  const isChat = to.server === groupServer || to.server === 'broadcast'
  const addressee = isChat ? parseAddress(receipt.attrs['participant']) : to
  const target = addressee ? ctx.accounts.find(addressee) : undefined
  if (!addressee || !target) return
  const from = sender.state.address(addressee.server === lidServer ? lidServer : phoneServer, sender.device)
  if (isChat) {
    attrs['from'] = `${to.user}@${to.server}`
    attrs['participant'] = from
  } else {
    attrs['from'] = from
    attrs['recipient'] = receipt.attrs['recipient']
  }
  const content = Array.isArray(receipt.content) ? receipt.content : undefined
  // A retry is meant for the device that encrypted; the others concern every device of the account.
  const devices = type === 'retry' || addressee.device !== 0 ? [addressee.device] : target.devices()
  for (const device of devices) {
    if (target === sender.state && device === sender.device) continue
    deliver(target, device, stanza('receipt', attrs, content))
  }
  ctx.changed()
}
