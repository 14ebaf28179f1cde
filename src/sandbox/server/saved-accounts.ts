// What the server keeps over a restart: accounts with their linked devices and what waits for them, and groups.
import type { BinaryNode } from '@whiskeysockets/baileys'
import type { Account, SnapshotPart } from '../device.ts'
import type { AccountState, Companion } from './accounts.ts'
import type { ServerContext } from './context.ts'
import type { Group } from './groups.ts'
import { Inbox } from './inbox.ts'

/** `prekeys`: for each its id in 3 bytes and its 32 bytes. A linked device has hundreds. */
type SavedCompanion = Omit<Companion, 'inbox' | 'connection' | 'prekeys'> & { prekeys: Uint8Array; waiting: BinaryNode[] }

const packedLength = 35

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
    prekeys: packPrekeys(prekeys),
    toldPrekeysLow: companion.toldPrekeysLow,
    pushName: companion.pushName,
    waiting: companion.inbox.waiting(),
  }
}

function restoreAccount(state: AccountState, saved: SavedAccount): void {
  state.lastDevice = saved.lastDevice
  for (const number of saved.watchers) state.watchers.add(number)
  for (const number of saved.writers) state.writers.add(number)
  for (const { waiting, prekeys, ...kept } of saved.companions) {
    const inbox = new Inbox()
    for (const node of waiting) inbox.add(node)
    state.companions.set(kept.device, {
      ...kept,
      pushName: kept.pushName,
      prekeys: unpackPrekeys(prekeys),
      inbox,
      connection: undefined,
    })
  }
}

function packPrekeys(prekeys: Companion['prekeys']): Buffer {
  const packed = Buffer.alloc(prekeys.length * packedLength)
  for (const [index, { id, publicKey }] of prekeys.entries()) {
    packed.writeUIntBE(id, index * packedLength, 3)
    packed.set(publicKey, index * packedLength + 3)
  }
  return packed
}

function unpackPrekeys(bytes: Uint8Array): Companion['prekeys'] {
  const packed = Buffer.from(bytes)
  return Array.from({ length: packed.length / packedLength }, (_, index) => {
    const start = index * packedLength
    return { id: packed.readUIntBE(start, 3), publicKey: Buffer.from(packed.subarray(start + 3, start + packedLength)) }
  })
}
