// Whether a number is on WhatsApp, and under which address: asked once, remembered per session.
import type { WASocket } from '@whiskeysockets/baileys'
import { jidOfPhoneNumber, lidOf, withoutDeviceOf } from './address.ts'
import { contactTtlMs, type KnownContact, type SessionCaches } from './session-caches.ts'

export type LookupSocket = Pick<WASocket, 'onWhatsApp' | 'signalRepository'>

/** Numbers in one query to the server. */
const chunkSize = 100

export interface ContactAnswer extends KnownContact {
  phoneNumber: string
}

/** One answer per number, in order. Null when the server did not answer. @throws what Baileys throws when the server refuses or the socket closes */
export async function lookUpContacts(
  socket: LookupSocket,
  contacts: SessionCaches['contacts'],
  phoneNumbers: string[],
): Promise<ContactAnswer[] | null> {
  const unknown = [...new Set(phoneNumbers)].filter((phoneNumber) => contacts.get(phoneNumber) === undefined)
  const asked = new Map<string, KnownContact>()
  for (let start = 0; start < unknown.length; start += chunkSize) {
    const answers = await ask(socket, unknown.slice(start, start + chunkSize))
    if (!answers) return null
    for (const [phoneNumber, contact] of answers) {
      contacts.set(phoneNumber, contact, contact.exists ? contactTtlMs.onWhatsApp : contactTtlMs.notOnWhatsApp)
      asked.set(phoneNumber, contact)
    }
  }
  return phoneNumbers.map((phoneNumber) => ({
    phoneNumber,
    ...(asked.get(phoneNumber) ?? contacts.get(phoneNumber) ?? absent(phoneNumber)),
  }))
}

/** From Baileys' memory, or one more query the first time. Null where there is none or no answer. */
export async function lidOfContact(socket: LookupSocket, jid: string): Promise<string | null> {
  return lidOf(jid) ?? lidOf(await socket.signalRepository.lidMapping.getLIDForPN(jid))
}

async function ask(socket: LookupSocket, phoneNumbers: string[]): Promise<Map<string, KnownContact> | null> {
  const answers = await socket.onWhatsApp(...phoneNumbers.map(jidOfPhoneNumber))
  if (!answers) return null
  const byJid = new Map(answers.filter(({ exists }) => exists).map(({ jid }) => [withoutDeviceOf(jid), withoutDeviceOf(jid)]))
  const found = new Map<string, KnownContact>()
  const unmatched: string[] = []
  for (const phoneNumber of phoneNumbers) {
    const jid = byJid.get(jidOfPhoneNumber(phoneNumber))
    if (jid) {
      byJid.delete(jid)
      found.set(phoneNumber, { exists: true, jid, lid: null })
    } else unmatched.push(phoneNumber)
  }
  // WhatsApp may answer with its own spelling of a number (an added or missing digit): certain when only one was asked for.
  const respelt = [...byJid.values()]
  for (const phoneNumber of unmatched) {
    const isCertain = phoneNumbers.length === 1 || respelt.length === 0
    const answer = isCertain ? answerFor(phoneNumber, respelt[0]) : (await ask(socket, [phoneNumber]))?.get(phoneNumber)
    if (!answer) return null
    found.set(phoneNumber, answer)
  }
  return found
}

function answerFor(phoneNumber: string, jid: string | undefined): KnownContact {
  return jid ? { exists: true, jid, lid: null } : absent(phoneNumber)
}

function absent(phoneNumber: string): KnownContact {
  return { exists: false, jid: jidOfPhoneNumber(phoneNumber), lid: null }
}
