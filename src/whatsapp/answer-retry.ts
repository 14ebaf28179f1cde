// What a phone that could not decrypt a message is given again: the same words, if it is the one they were sent to.
import type { WAMessageKey, WASocket, proto } from '@whiskeysockets/baileys'
import { withDeadline } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import { kindOfJid, phoneNumberOf, withoutDeviceOf } from './address.ts'
import { lidOfContact, lookUpContacts, type LookupSocket } from './contact-lookup.ts'
import { toProto, type SentContent } from './outgoing-content.ts'
import type { SessionCaches } from './session-caches.ts'

interface AnswerDeps {
  getMessage(whatsappId: string): Promise<SentContent | null>
  caches: { contacts: Contacts }
  log: Log
}
type Contacts = SessionCaches['contacts']
type AskedSocket = LookupSocket & Pick<WASocket, 'user'>

/** Baileys handles no other receipt meanwhile. */
const lookupMs = 2_000

/** Undefined: nothing is sent. Our own other devices ask in the name of the chat. */
export async function answerRetry(
  deps: AnswerDeps,
  socket: AskedSocket | undefined,
  { remoteJid, id }: WAMessageKey,
): Promise<proto.IMessage | undefined> {
  const userJid = socket?.user?.id
  if (!remoteJid || !id || !userJid) return undefined
  const message = await deps.getMessage(id)
  if (!message) return undefined
  if (await isSentTo(socket, deps.caches.contacts, message, withoutDeviceOf(remoteJid))) return toProto(message, userJid)
  deps.log.warn({ whatsappId: id }, 'whatsapp.stranger_asked')
  return undefined
}

async function isSentTo(socket: AskedSocket, contacts: Contacts, sent: SentContent, asker: string): Promise<boolean> {
  if (asker === sent.recipient || asker === sent.lid) return true
  if (kindOfJid(asker) === 'group' || kindOfJid(sent.recipient) === 'group') return false
  return withDeadline(isSameAccount(socket, contacts, sent, asker), lookupMs).catch(() => false)
}

async function isSameAccount(
  socket: AskedSocket,
  contacts: Contacts,
  { recipient, lid }: SentContent,
  asker: string,
): Promise<boolean> {
  const own = [socket.user?.id, socket.user?.lid].flatMap((jid) => (jid ? [withoutDeviceOf(jid)] : []))
  if (own.includes(asker)) return own.includes(recipient)
  const other = await otherAddress(socket, asker)
  if (other !== null && (other === recipient || other === lid)) return true
  // WhatsApp may spell the number in another way than whoever wrote to it.
  const phoneNumber = phoneNumberOf(recipient)
  const known = phoneNumber === null ? null : await lookUpContacts(socket, contacts, [phoneNumber])
  const jid = known?.[0]?.exists ? known[0].jid : null
  return jid !== null && (jid === asker || jid === other)
}

async function otherAddress(socket: LookupSocket, jid: string): Promise<string | null> {
  if (kindOfJid(jid) === 'phone') return lidOfContact(socket, jid)
  const phone = await socket.signalRepository.lidMapping.getPNForLID(jid)
  return phone ? withoutDeviceOf(phone) : null
}
