// Messages: who gets which part of what one device sent, and what the sender is told.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { groupServer, lidServer, parseAddress, phoneServer, type Address } from '../wire/address.ts'
import { childOf, childrenOf, nowSeconds, stanza } from '../wire/stanza.ts'
import { deliver, type AccountState } from './accounts.ts'
import type { ServerContext } from './context.ts'
import { deviceListHash, watchDevices } from './device-lists.ts'

export interface Sender {
  readonly state: AccountState
  /** 0 is the phone. */
  readonly device: number
}

/** What goes into the ack. */
export interface Routed {
  error?: number
  phash?: string
}

/** Numbers WhatsApp uses in acks. */
export const ackError = { malformed: 400, forbidden: 403, unknown: 404, restricted: 463, staleDevices: 479 } as const

/** Only for the server; everything else in a message goes on to each recipient. */
const forServer = new Set(['participants', 'tctoken', 'cstoken', 'enc', 'device-identity'])
const passedOn = ['type', 'category', 'edit', 'push_priority', 'expiration']

export function routeMessage(ctx: ServerContext, sender: Sender, message: BinaryNode): Routed {
  const to = parseAddress(message.attrs['to'])
  if (!to || message.attrs['id'] === undefined) return { error: ackError.malformed }
  if (to.server === groupServer) return routeToGroup(ctx, sender, to, message)
  if (to.server === 'broadcast') return routeToList(ctx, sender, to, message)
  const target = ctx.accounts.find(to)
  if (!target || target.devices().length === 0) return { error: ackError.unknown }
  const isOwn = target === sender.state
  if (!isOwn) {
    target.writers.add(sender.state.account.phoneNumber)
    watchDevices(ctx, sender.state, target)
    watchDevices(ctx, target, sender.state)
  }
  const parts = childrenOf(childOf(message, 'participants')).filter((part) => part.tag === 'to')
  if (parts.length > 0) {
    const attrs = directAttrs(sender, target, to, message)
    const addressed = parts
      .flatMap((part) => addresseeOf(ctx, part) ?? [])
      .filter(({ owner }) => owner === target || owner === sender.state)
    // Copies for one's own devices do not make up for a recipient who gets none.
    if (!isOwn && !addressed.some(({ owner, device }) => owner === target && target.devices().includes(device))) {
      return { error: ackError.staleDevices }
    }
    for (const { owner, device, encrypted } of addressed) handOver(ctx, sender, owner, device, attrs(owner), encrypted, message)
    return { phash: listHash(sender, target, to) }
  }
  const direct = childrenOf(message).filter((child) => child.tag === 'enc')
  if (direct.length === 0) return { error: ackError.malformed }
  // One device only: a retry answer, or a message between the account's own devices.
  const attrs = directAttrs(sender, target, to, message)(target)
  const recipient = message.attrs['recipient']
  if (recipient !== undefined) attrs['recipient'] = recipient
  return handOver(ctx, sender, target, to.device, attrs, direct, message) ? {} : { error: ackError.staleDevices }
}

/** For which device a `<to>` was encrypted; undefined when nobody has that address. */
function addresseeOf(ctx: ServerContext, part: BinaryNode) {
  const address = parseAddress(part.attrs['jid'])
  const owner = address ? ctx.accounts.find(address) : undefined
  return address && owner ? { owner, device: address.device, encrypted: childrenOf(part) } : undefined
}

/** Attributes as the recipient sees them: addressed as the sender addressed the chat. */
function directAttrs(sender: Sender, target: AccountState, to: Address, message: BinaryNode) {
  const byLid = to.server === lidServer
  const mode = byLid ? lidServer : phoneServer
  return (owner: AccountState): Record<string, string> => {
    const attrs = baseAttrs(sender, message)
    attrs['from'] = sender.state.address(mode, sender.device)
    attrs[byLid ? 'sender_pn' : 'sender_lid'] = sender.state.address(byLid ? phoneServer : lidServer)
    attrs['addressing_mode'] = byLid ? 'lid' : 'pn'
    if (owner === sender.state && message.attrs['category'] !== 'peer') {
      attrs['recipient'] = target.address(mode)
      attrs[byLid ? 'peer_recipient_pn' : 'peer_recipient_lid'] = target.address(byLid ? phoneServer : lidServer)
    }
    return attrs
  }
}

function baseAttrs(sender: Sender, message: BinaryNode): Record<string, string> {
  const attrs: Record<string, string> = { id: message.attrs['id'] ?? '', t: nowSeconds() }
  for (const name of passedOn) {
    const value = message.attrs[name]
    if (value !== undefined) attrs[name] = value
  }
  attrs['type'] ??= 'text'
  const name = sender.state.companions.get(sender.device)?.pushName ?? sender.state.account.name
  // A text with an @ would be encoded as an address, which strict decoders refuse in this place.
  if (name !== '' && !name.includes('@')) attrs['notify'] = name
  return attrs
}

function routeToGroup(ctx: ServerContext, sender: Sender, to: Address, message: BinaryNode): Routed {
  const group = ctx.groups.find(to.user)
  if (!group) return { error: ackError.unknown }
  const number = sender.state.account.phoneNumber
  if (!group.members.has(number)) return { error: ackError.forbidden }
  const members = [...group.members.keys()].flatMap((each) => ctx.accounts.find(each) ?? [])
  const attrs = manyAttrs(sender, `${to.user}@${groupServer}`, message)
  const only = parseAddress(message.attrs['participant'])
  if (only) {
    const owner = ctx.accounts.find(only)
    const direct = childrenOf(message).filter((child) => child.tag === 'enc')
    if (!owner || !members.includes(owner)) return { error: ackError.unknown }
    return handOver(ctx, sender, owner, only.device, attrs, direct, message) ? {} : { error: ackError.staleDevices }
  }
  fanOut(ctx, sender, members, attrs, message)
  const byLid = message.attrs['addressing_mode'] !== 'pn'
  const phash = deviceListHash(members.flatMap((member) => member.deviceAddresses(byLid ? lidServer : phoneServer)))
  return message.attrs['phash'] === undefined || message.attrs['phash'] === phash ? {} : { phash }
}

/** Status and broadcast lists: those whom the sender encrypted for. */
function routeToList(ctx: ServerContext, sender: Sender, to: Address, message: BinaryNode): Routed {
  const parts = childrenOf(childOf(message, 'participants'))
  const readers = new Set(parts.flatMap((part) => ctx.accounts.find(part.attrs['jid'] ?? '') ?? []))
  fanOut(ctx, sender, [...readers], manyAttrs(sender, `${to.user}@${to.server}`, message), message)
  return {}
}

function manyAttrs(sender: Sender, from: string, message: BinaryNode): Record<string, string> {
  const byLid = message.attrs['addressing_mode'] !== 'pn'
  const attrs = baseAttrs(sender, message)
  attrs['from'] = from
  attrs['participant'] = sender.state.address(byLid ? lidServer : phoneServer, sender.device)
  attrs[byLid ? 'participant_pn' : 'participant_lid'] = sender.state.address(byLid ? phoneServer : lidServer)
  attrs['addressing_mode'] = byLid ? 'lid' : 'pn'
  return attrs
}

/** Everybody gets the common ciphertext, and before it what was encrypted for their device alone. */
function fanOut(
  ctx: ServerContext,
  sender: Sender,
  members: AccountState[],
  attrs: Record<string, string>,
  message: BinaryNode,
): void {
  const common = childrenOf(message).filter((child) => child.tag === 'enc')
  const own = new Map<string, BinaryNode[]>()
  for (const part of childrenOf(childOf(message, 'participants'))) {
    const addressee = addresseeOf(ctx, part)
    if (addressee) own.set(`${addressee.owner.account.phoneNumber}:${addressee.device}`, addressee.encrypted)
  }
  for (const member of members) {
    for (const device of member.devices()) {
      const parts = [...(own.get(`${member.account.phoneNumber}:${device}`) ?? []), ...common]
      if (parts.length > 0) handOver(ctx, sender, member, device, { ...attrs }, parts, message)
    }
  }
}

/** Never to the device that sent it. Says whether the device exists. */
function handOver(
  ctx: ServerContext,
  sender: Sender,
  owner: AccountState,
  device: number,
  attrs: Record<string, string>,
  encrypted: BinaryNode[],
  message: BinaryNode,
): boolean {
  if (owner === sender.state && device === sender.device) return false
  const companion = owner.companions.get(device)
  if (device === 0 ? !owner.primary : !companion) return false
  const content = encrypted.filter((child) => child.tag === 'enc')
  // A retry answer repeats an id on purpose. A phone sees every repetition: it is the one that counts them.
  const isRetry = content.some((child) => child.attrs['count'] !== undefined) || message.attrs['device_fanout'] === 'false'
  const from = `${sender.state.account.phoneNumber}:${sender.device}`
  if (companion && !isRetry && !companion.inbox.isNew(from, attrs['id'] ?? '')) return true
  const others = childrenOf(message).filter((child) => !forServer.has(child.tag))
  const identity = childOf(message, 'device-identity')
  const needsIdentity = identity !== undefined && content.some((child) => child.attrs['type'] === 'pkmsg')
  deliver(owner, device, stanza('message', attrs, [...content, ...(needsIdentity ? [identity] : []), ...others]))
  ctx.changed()
  return true
}

/** Both accounts' devices, the sending one included, as clients hash them. */
function listHash(sender: Sender, target: AccountState, to: Address): string {
  const mode = to.server === lidServer ? lidServer : phoneServer
  const own = target === sender.state ? [] : sender.state.deviceAddresses(mode)
  return deviceListHash([...target.deviceAddresses(mode), ...own])
}
