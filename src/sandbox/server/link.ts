// Making a paired companion a device of its account.
import { phoneServer } from '../wire/address.ts'
import type { ServerContext } from './context.ts'
import { announceDevice } from './device-lists.ts'
import { Inbox } from './inbox.ts'
import type { LinkedDevice } from './pairings.ts'

/** Answers the device's address. */
export function linkDevice(ctx: ServerContext, linked: LinkedDevice): string {
  const { state, device, keyIndex, registration, deviceIdentity } = linked
  state.companions.set(device, {
    ...registration,
    device,
    keyIndex,
    deviceIdentity,
    inbox: new Inbox(),
    prekeys: [],
    toldPrekeysLow: false,
    pushName: undefined,
    connection: undefined,
  })
  announceDevice(ctx, state, 'add', device, keyIndex)
  const deviceJid = state.address(phoneServer, device)
  state.primary?.companionLinked(deviceJid)
  ctx.changed()
  return deviceJid
}
