// What the server keeps over a restart: accounts with their linked devices and what waits for them, and groups.
import type { BinaryNode } from '@whiskeysockets/baileys'
import type { Account, SnapshotPart } from '../device.ts'
import type { AccountState, Companion } from './accounts.ts'
import type { ServerContext } from './context.ts'
import type { Group } from './groups.ts'
import { Inbox } from './inbox.ts'

type SavedCompanion = Omit<Companion, 'inbox' | 'connection'> & { waiting: BinaryNode[] }

interface SavedAccount {
  account: Account
  companions: SavedCompanion[]
  watchers: string[]
  writers: string[]
  lastDevice: number
}

type SavedGroup = Omit<Group, 'members'> & { members: [string, boolean][] }

interface Saved {
  accounts: SavedAccount[]
  groups: SavedGroup[]
}

/** Phones keep themselves; they join their accounts again through `addPrimary`. */
export function accountsPart(ctx: ServerContext): SnapshotPart {
  return {
    name: 'server',
    snapshot: (): Saved => ({
      accounts: Array.from(ctx.accounts.all(), saveAccount),
      groups: Array.from(ctx.groups.all(), (group) => ({ ...group, members: [...group.members] })),
    }),
    restore: (saved) => {
      const { accounts, groups } = saved as Saved
      for (const each of accounts) restoreAccount(ctx.accounts.add(each.account), each)
      for (const group of groups) ctx.groups.restore({ ...group, members: new Map(group.members) })
    },
  }
}

function saveAccount(state: AccountState): SavedAccount {
  return {
    account: state.account,
    companions: Array.from(state.companions.values(), saveCompanion),
    watchers: [...state.watchers],
    writers: [...state.writers],
    lastDevice: state.lastDevice,
  }
}

function saveCompanion(companion: Companion): SavedCompanion {
  const { device, keyIndex, deviceIdentity, noisePublicKey, identityKey, registrationId, signedPrekey, prekeys } = companion
  return {
    device,
    keyIndex,
    deviceIdentity,
    noisePublicKey,
    identityKey,
    registrationId,
    signedPrekey,
    prekeys,
    toldPrekeysLow: companion.toldPrekeysLow,
    pushName: companion.pushName,
    waiting: companion.inbox.waiting(),
  }
}

function restoreAccount(state: AccountState, saved: SavedAccount): void {
  state.lastDevice = saved.lastDevice
  for (const number of saved.watchers) state.watchers.add(number)
  for (const number of saved.writers) state.writers.add(number)
  for (const { waiting, ...kept } of saved.companions) {
    const inbox = new Inbox()
    for (const node of waiting) inbox.add(node)
    state.companions.set(kept.device, { ...kept, pushName: kept.pushName, inbox, connection: undefined })
  }
}
