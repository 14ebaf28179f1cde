// The server as phones and the control API see it.
import type { BinaryNode } from '@whiskeysockets/baileys'
import type {
  Account,
  PendingPairing,
  PendingPairingCode,
  PrekeyBundle,
  PrimaryDevice,
  SandboxNetwork,
  SnapshotPart,
} from '../device.ts'
import { parseAddress, phoneServer } from '../wire/address.ts'
import { bundleOf } from './iq/encrypt.ts'
import { routeMessage } from './route-message.ts'
import { routeReceipt } from './route-receipt.ts'
import type { SandboxServer } from './sandbox-server.ts'
import type { SnapshotFile } from './snapshot-file.ts'
import { messageAck } from './take-message.ts'
import { unlinkDevice } from './unlink.ts'

export function createNetwork(server: SandboxServer, file: SnapshotFile): SandboxNetwork {
  const { ctx } = server
  const { accounts } = ctx
  return {
    addPrimary(device: PrimaryDevice): void {
      const state = accounts.add(device.account)
      state.account = device.account
      state.primary = device
      ctx.changed()
    },

    sendFromPrimary(account: Account, stanza: BinaryNode): void {
      const state = accounts.find(account.phoneNumber)
      if (!state) return
      const sender = { state, device: 0 }
      if (stanza.tag === 'message') {
        const ack = messageAck(stanza, routeMessage(ctx, sender, stanza))
        state.primary?.deliver(ack)
      } else if (stanza.tag === 'receipt') {
        routeReceipt(ctx, sender, stanza)
      }
    },

    devicesOf(phoneNumberOrLid: string): string[] {
      return accounts.find(phoneNumberOrLid)?.deviceAddresses(phoneServer) ?? []
    },

    accountOf(phoneNumberOrLid: string): Account | undefined {
      return accounts.find(phoneNumberOrLid)?.account
    },

    prekeyBundles(deviceJids: string[]): Map<string, PrekeyBundle> {
      const bundles = new Map<string, PrekeyBundle>()
      for (const jid of deviceJids) {
        const address = parseAddress(jid)
        const owner = address ? accounts.find(address) : undefined
        const bundle = address && owner ? bundleOf(ctx, owner, address.device) : undefined
        if (bundle) bundles.set(jid, bundle)
      }
      return bundles
    },

    findPairingByRef: (ref: string): PendingPairing | undefined => ctx.pairings.findByRef(ref),

    findPairingByCodeFor: (phoneNumber: string): PendingPairingCode | undefined => ctx.pairings.findByCodeFor(phoneNumber),

    unlink(account: Account, deviceJid?: string): string[] {
      const state = accounts.find(account.phoneNumber)
      if (!state) return []
      const devices = deviceJid === undefined ? [...state.companions.keys()] : [parseAddress(deviceJid)?.device ?? 0]
      return devices.flatMap((device) => unlinkDevice(ctx, state, device))
    },

    reset(): void {
      server.closeAll()
      accounts.clear()
      ctx.groups.clear()
      ctx.changed()
    },

    keep(part: SnapshotPart): void {
      file.keep(part)
    },

    changed(): void {
      ctx.changed()
    },
  }
}
