// Who is given a message again, by all the addresses that one account may ask under.
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { answerRetry } from '../../src/whatsapp/answer-retry.ts'
import { createSessionCaches } from '../../src/whatsapp/session-caches.ts'

type Socket = NonNullable<Parameters<typeof answerRetry>[1]>
const me = { phone: '254700000001', lid: '11111111@lid' }
const [ana, anaLid, stranger] = ['5511987654321@s.whatsapp.net', '22222222@lid', '254700000003@s.whatsapp.net']
/** WhatsApp's own spelling of Ana's number. */
const respelt = '551187654321@s.whatsapp.net'
const group = '120363000000000000@g.us'

const socket = {
  user: { id: `${me.phone}:7@s.whatsapp.net`, lid: '11111111:7@lid' },
  onWhatsApp: () => Promise.resolve([{ jid: respelt, exists: true }]),
  signalRepository: {
    lidMapping: {
      getLIDForPN: (jid: string) => Promise.resolve(jid === respelt ? anaLid : null),
      getPNForLID: (jid: string) => Promise.resolve(jid === anaLid ? respelt.replace('@', ':0@') : null),
    },
  },
} as unknown as Socket

const ask = (remoteJid: string | undefined, sent: { recipient: string; lid?: string | null } | null, by = socket) => {
  const content = { type: 'text', content: { text: { body: 'siri' } }, replyTo: null, mentions: [], whatsappId: '3EB0' }
  const getMessage = () => Promise.resolve(sent && { ...content, ...sent })
  const deps = { getMessage, caches: createSessionCaches(), log: pino({ level: 'silent' }) }
  return answerRetry(deps, by, { id: '3EB0', ...(remoteJid === undefined ? {} : { remoteJid }) })
}

test.each([
  ['the recipient', ana, { recipient: ana }],
  ['a device of theirs', '5511987654321:3@s.whatsapp.net', { recipient: ana }],
  ['a hosted device of theirs', '5511987654321:99@hosted', { recipient: ana }],
  ['their LID, as learnt when it was sent', '22222222:3@lid', { recipient: ana, lid: anaLid }],
  ['their LID, by the number WhatsApp spells otherwise', anaLid, { recipient: ana }],
  ['the number WhatsApp spells otherwise', respelt, { recipient: ana }],
  ['their number, when it went to their LID', respelt, { recipient: anaLid }],
  ['our own account, of what went to our own number', me.lid, { recipient: `${me.phone}@s.whatsapp.net` }],
  ['a member of the group it went to', group, { recipient: group }],
])('%s is given it again', async (_, asker, sent) => {
  expect(await ask(asker, sent)).toMatchObject({ extendedTextMessage: { text: 'siri' } })
})

test.each([
  ['a stranger', stranger, { recipient: ana, lid: anaLid }],
  ['a stranger by LID', '33333333@lid', { recipient: ana, lid: anaLid }],
  ['our own account in its own name', me.lid, { recipient: ana }],
  ['another group', '120363000000000001@g.us', { recipient: group }],
  ['a member in their own name', ana, { recipient: group }],
  ['nobody', undefined, { recipient: ana }],
  ['who asks for what is not ours', ana, null],
])('%s is given nothing', async (_, asker, sent) => {
  expect(await ask(asker, sent)).toBeUndefined()
})

test('when WhatsApp does not answer, only who is known already is given it', async () => {
  const unreachable = () => Promise.reject(new Error('Timed Out'))
  const lidMapping = { getLIDForPN: unreachable, getPNForLID: unreachable }
  const cut = { ...socket, onWhatsApp: unreachable, signalRepository: { lidMapping } } as unknown as Socket
  expect(await ask(anaLid, { recipient: ana, lid: anaLid }, cut)).toBeDefined()
  expect(await ask(respelt, { recipient: ana }, cut)).toBeUndefined()
})
