// Groups on the sandbox, spoken to bare: making and describing them, messages to all members, receipts and retries back.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bytesOf, childOf, childrenOf, stanza } from '../../src/sandbox/wire/stanza.ts'
import type { RawClient } from '../support/raw-client.ts'
import { ackOf, asha, isMessage, jid, nobody, RawSandbox, shop } from '../support/raw-sandbox.ts'

let raw: RawSandbox
let lidOf: Record<string, string>

beforeEach(async () => {
  raw = await RawSandbox.start()
  const phones = await raw.phones.phones()
  lidOf = Object.fromEntries(phones.map(({ phoneNumber, lid }) => [phoneNumber, lid]))
})

afterEach(async () => {
  await raw.stop()
})

async function createGroup(client: RawClient, members: string[]): Promise<BinaryNode> {
  const participants = members.map((member) => stanza('participant', { jid: jid(member) }))
  const create = stanza('create', { subject: 'Market day', key: 'k' }, participants)
  const group = childOf(await client.query('w:g2', 'set', [create], '@g.us'), 'group')
  if (!group) throw new Error('no group was made')
  return group
}

function groupMessage(group: string, id: string, own: Record<string, string>): BinaryNode {
  const keys = Object.entries(own).map(([device, text]) =>
    stanza('to', { jid: device }, [stanza('enc', { v: '2', type: 'pkmsg' }, Buffer.from(text))]),
  )
  return stanza('message', { to: group, id, type: 'text', addressing_mode: 'lid' }, [
    stanza('participants', {}, keys),
    stanza('enc', { v: '2', type: 'skmsg' }, Buffer.from('for all')),
  ])
}

describe('a group', () => {
  it('has a bare number for its id and its members by LID', async () => {
    const owner = await raw.online(shop)
    const group = await createGroup(owner, [asha, nobody])
    expect(group.attrs).toMatchObject({ id: expect.stringMatching(/^120363\d{12}$/) as string, subject: 'Market day' })
    const members = childrenOf(group).map((member) => [member.attrs['jid'], member.attrs['phone_number'], member.attrs['type']])
    expect(members).toEqual([
      [`${lidOf[shop]}@lid`, jid(shop), 'superadmin'],
      [`${lidOf[asha]}@lid`, jid(asha), undefined],
    ])
    const groupJid = `${group.attrs['id']}@g.us`
    const asked = await owner.query('w:g2', 'get', [stanza('query', { request: 'interactive' })], groupJid)
    expect(childOf(asked, 'group')).toEqual(group)
    const own = await owner.query('w:g2', 'get', [stanza('participating')], '@g.us')
    expect(childrenOf(childOf(own, 'groups'))).toEqual([group])
  })

  it('is described to its members alone', async () => {
    const group = await createGroup(await raw.online(shop), [])
    const stranger = await raw.online(asha)
    const groupJid = `${group.attrs['id']}@g.us`
    const refused = await stranger.query('w:g2', 'get', [stanza('query')], groupJid)
    expect(childOf(refused, 'error')?.attrs['code']).toBe('403')
    stranger.send(groupMessage(groupJid, 'G0', {}))
    expect((await ackOf(stranger, 'G0')).attrs['error']).toBe('403')
    stranger.send(groupMessage('120363000000000000@g.us', 'G00', {}))
    expect((await ackOf(stranger, 'G00')).attrs['error']).toBe('404')
  })

  it('gives every device but the sending one the message, with the key that was meant for it', async () => {
    const sender = await raw.online(shop)
    const sibling = await raw.online(shop)
    const member = await raw.online(asha)
    const groupJid = `${(await createGroup(sender, [asha])).attrs['id']}@g.us`
    sender.send(groupMessage(groupJid, 'G1', { [`${lidOf[asha]}:1@lid`]: 'key for asha', [`${lidOf[shop]}:1@lid`]: 'own copy' }))
    expect((await ackOf(sender, 'G1')).attrs).toMatchObject({ from: groupJid })
    const got = await member.waitFor('the message', isMessage('G1'))
    expect(got.attrs).toMatchObject({ from: groupJid, participant: `${lidOf[shop]}:1@lid`, participant_pn: jid(shop) })
    const parts = childrenOf(got).map((part) => [part.attrs['type'], bytesOf(part).toString()])
    expect(parts).toEqual([
      ['pkmsg', 'key for asha'],
      ['skmsg', 'for all'],
    ])
    const copy = await sibling.waitFor('the copy', isMessage('G1'))
    expect(childrenOf(copy).map((part) => part.attrs['type'])).toEqual(['skmsg'])
    await sender.query('w:p', 'get')
    expect(sender.received.filter(isMessage('G1'))).toEqual([])
  })

  it('carries receipts back to the sender with the participant, and the retry answer to one device', async () => {
    const sender = await raw.online(shop)
    const member = await raw.online(asha)
    const groupJid = `${(await createGroup(sender, [asha])).attrs['id']}@g.us`
    sender.send(groupMessage(groupJid, 'G2', {}))
    await member.waitFor('the message', isMessage('G2'))
    const retry = [stanza('retry', { count: '1', id: 'G2', t: '1', v: '1' })]
    const participant = `${lidOf[shop]}:1@lid`
    member.send(stanza('receipt', { id: 'G2', to: groupJid, participant, type: 'retry' }, retry))
    // The phones cannot read what these tests call ciphertext, and ask again as well.
    const asked = await sender.waitFor(
      'the retry',
      ({ tag, attrs }) => tag === 'receipt' && attrs['type'] === 'retry' && attrs['participant'] === `${lidOf[asha]}:1@lid`,
    )
    expect(asked.attrs).toMatchObject({ from: groupJid, id: 'G2' })
    const enc = stanza('enc', { v: '2', type: 'msg', count: '1' }, Buffer.from('again'))
    sender.send(stanza('message', { id: 'G2', to: groupJid, participant: `${lidOf[asha]}:1@lid`, type: 'text' }, [enc]))
    const again = await member.waitFor(
      'the answer',
      (node) => isMessage('G2')(node) && childOf(node, 'enc')?.attrs['count'] === '1',
    )
    expect(bytesOf(childOf(again, 'enc')).toString()).toBe('again')
  })

  it('changes its members by an admin only', async () => {
    const owner = await raw.online(shop)
    const member = await raw.online(asha)
    const groupJid = `${(await createGroup(owner, [asha])).attrs['id']}@g.us`
    const remove = (who: string) => stanza('remove', {}, [stanza('participant', { jid: jid(who) })])
    expect((await member.query('w:g2', 'set', [remove(shop)], groupJid)).attrs['type']).toBe('error')
    expect((await owner.query('w:g2', 'set', [remove(asha)], groupJid)).attrs['type']).toBe('result')
    expect((await member.query('w:g2', 'get', [stanza('query')], groupJid)).attrs['type']).toBe('error')
  })

  it('lets a member leave, once', async () => {
    const owner = await raw.online(shop)
    const member = await raw.online(asha)
    const groupJid = `${(await createGroup(owner, [asha])).attrs['id']}@g.us`
    const leave = async () => {
      const answer = await member.query('w:g2', 'set', [stanza('leave', {}, [stanza('group', { id: groupJid })])])
      return childOf(answer, 'leave', 'group')?.attrs
    }
    expect(await leave()).toEqual({ id: groupJid })
    expect((await member.query('w:g2', 'get', [stanza('query')], groupJid)).attrs['type']).toBe('error')
    expect(await leave()).toEqual({ id: groupJid, error: '404' })
  })
})
