// `w:g2`: making groups, asking about them, and changing who is in them.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { lidServer, parseAddress, phoneServer } from '../../wire/address.ts'
import { childOf, childrenOf, stanza } from '../../wire/stanza.ts'
import type { ServerContext, Session } from '../context.ts'
import type { Group } from '../groups.ts'
import type { IqAnswer } from './iq.ts'

const maxMembers = 1_024

export function answerGroups(ctx: ServerContext, session: Session, iq: BinaryNode): IqAnswer {
  const create = childOf(iq, 'create')
  if (create) return createGroup(ctx, session, create)
  if (childOf(iq, 'participating')) {
    const own = [...ctx.groups.all()].filter((group) => group.members.has(session.state.account.phoneNumber))
    return [
      stanza(
        'groups',
        {},
        own.map((group) => describe(ctx, group)),
      ),
    ]
  }
  const leave = childOf(iq, 'leave')
  if (leave) return leaveGroups(ctx, session, leave)
  const group = ctx.groups.find(parseAddress(iq.attrs['to'])?.user ?? '')
  if (!group) return 404
  const ownRole = group.members.get(session.state.account.phoneNumber)
  if (ownRole === undefined) return 403
  if (childOf(iq, 'query')) return [describe(ctx, group)]
  const change = childOf(iq, 'add') ?? childOf(iq, 'remove')
  if (!change) return 501
  if (!ownRole) return 403
  return changeMembers(ctx, group, change)
}

function createGroup(ctx: ServerContext, session: Session, create: BinaryNode): IqAnswer {
  const members = numbersOf(ctx, create).flatMap((each) => each.phoneNumber ?? [])
  if (members.length >= maxMembers) return 400
  const group = ctx.groups.create(create.attrs['subject'] ?? '', session.state.account.phoneNumber, members)
  ctx.changed()
  return [describe(ctx, group)]
}

function leaveGroups(ctx: ServerContext, session: Session, leave: BinaryNode): IqAnswer {
  const { phoneNumber } = session.state.account
  const answers = childrenOf(leave).map(({ attrs: { id } }) => {
    const hasLeft = ctx.groups.find(parseAddress(id)?.user ?? '')?.members.delete(phoneNumber) === true
    return stanza('group', { id, error: hasLeft ? undefined : '404' })
  })
  ctx.changed()
  return [stanza('leave', {}, answers)]
}

function changeMembers(ctx: ServerContext, group: Group, change: BinaryNode): IqAnswer {
  const answers = numbersOf(ctx, change).map(({ jid, phoneNumber }) => {
    if (phoneNumber === undefined) return stanza('participant', { jid, error: '404' })
    if (change.tag === 'add') group.members.set(phoneNumber, group.members.get(phoneNumber) ?? false)
    else group.members.delete(phoneNumber)
    return stanza('participant', { jid })
  })
  ctx.changed()
  return [stanza(change.tag, {}, answers)]
}

function numbersOf(ctx: ServerContext, parent: BinaryNode): { jid: string | undefined; phoneNumber: string | undefined }[] {
  return childrenOf(parent)
    .filter((child) => child.tag === 'participant')
    .map(({ attrs: { jid } }) => ({ jid, phoneNumber: ctx.accounts.find(jid ?? '')?.account.phoneNumber }))
}

/** `id` is the bare number; members are addressed by LID, with their phone numbers beside. */
function describe(ctx: ServerContext, group: Group): BinaryNode {
  const creator = ctx.accounts.find(group.creator)
  const created = String(group.createdAtSeconds)
  const by = { creator: creator?.address(lidServer), creator_pn: creator?.address(phoneServer) }
  const subject = { subject: group.subject, s_t: created, s_o: creator?.address(lidServer) }
  const members = [...group.members].flatMap(([number, isAdmin]) => {
    const member = ctx.accounts.find(number)
    if (!member) return []
    const type = isAdmin ? 'superadmin' : undefined
    return stanza('participant', { jid: member.address(lidServer), phone_number: member.address(phoneServer), type })
  })
  const attrs = { id: group.id, addressing_mode: 'lid', creation: created, size: String(members.length), ...by, ...subject }
  return stanza('group', attrs, members)
}
