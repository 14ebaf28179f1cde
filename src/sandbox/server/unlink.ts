// Taking a linked device away from its account.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { phoneServer } from '../wire/address.ts'
import type { AccountState } from './accounts.ts'
import { streamEnd } from './connection.ts'
import type { ServerContext } from './context.ts'
import { announceDevice } from './device-lists.ts'
import { idsIn } from './inbox.ts'

/** Its socket is told 401; without one, its next login is refused. What waited for it is gone: answers the ids of those messages and receipts. */
export function unlinkDevice(ctx: ServerContext, state: AccountState, device: number): string[] {
  const companion = state.companions.get(device)
  if (!companion) return []
  state.companions.delete(device)
  companion.connection?.end(streamEnd.deviceRemoved())
  announceDevice(ctx, state, 'remove', device, companion.keyIndex)
  state.primary?.companionUnlinked(state.address(phoneServer, device))
  ctx.changed()
  return companion.inbox.waiting().flatMap((waiting) => (isMessageOrReceipt(waiting) ? idsIn(waiting) : []))
}

function isMessageOrReceipt({ tag }: BinaryNode): boolean {
  return tag === 'message' || tag === 'receipt'
}
