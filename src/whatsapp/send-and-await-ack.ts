// One message to WhatsApp: is there anyone to send to, the frame, the server's ack, and what its error numbers mean.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { jidDecode, transferDevice, type WASocket } from '@whiskeysockets/baileys'
import { monotonicMs, sleep, withDeadline } from '../platform/clock.ts'
import { hasCode } from '../platform/errors.ts'
import { kindOfJid, phoneNumberOf } from './address.ts'
import { lidOfContact, lookUpContacts } from './contact-lookup.ts'
import { quotedBy, toBaileysContent } from './outgoing-content.ts'
import type { AckResult, PendingAcks, Unsent } from './pending-acks.ts'
import type { SessionCaches } from './session-caches.ts'
import type { OutgoingMessage, SendOutcome } from './whatsapp-client.ts'

interface SendDeps {
  socket: WASocket
  acks: PendingAcks
  caches: SessionCaches
  /** New contacts are closed to this account (463); answers until when, if WhatsApp says so. */
  onRestricted(): Promise<number | null>
  /** Shows "typing…" there for so long; resolves with what it took. Rejects when the socket ends meanwhile. */
  type(jid: string, typingMs: number): Promise<number>
}

/** What one send may still take. Typing is no part of it: the ack's time counts from the frame. */
interface Limits {
  deadline: number
  typingMs: number
}

/** WhatsApp's error numbers in acks that mean more than "refused". */
const ackErrors = { reachOutRestricted: 463, staleDevices: 479 } as const
/** Learning the LID of someone new is worth this much waiting. */
const lidTimeoutMs = 1_000
/** The first pause when the server is too busy to answer what is asked before a message; then twice as long, and so on. */
const busyPauseMs = 1_000
const encryptionFailed = 'All encryptions failed'

/** Never rejects; everything in it but the typing together takes `timeoutMs` at most, and a little for what comes after the ack. */
export async function sendAndAwaitAck(deps: SendDeps, message: OutgoingMessage, timeoutMs: number): Promise<SendOutcome> {
  const limits = { deadline: monotonicMs() + timeoutMs, typingMs: message.typingMs ?? 0 }
  try {
    for (let pauseMs = busyPauseMs; ; pauseMs *= 2) {
      const outcome = await sendWithin(deps, message, limits)
      if (outcome.kind !== 'busy') return outcome
      if (monotonicMs() + pauseMs >= limits.deadline) return { kind: 'unknown', reason: outcome.reason }
      await Promise.race([sleep(pauseMs), deps.acks.closed])
    }
  } catch (error) {
    if (hasCode(error, 'not_yet_supported')) return rejected('not_yet_supported', error.message, null)
    return unknown(error)
  } finally {
    // Many sends in a row over a store that answers at once would starve every other socket of the process.
    await nextTurn()
  }
}

/** Nothing was sent, and the server may answer in a moment. */
interface Busy {
  kind: 'busy'
  reason: string
}

async function sendWithin(deps: SendDeps, message: OutgoingMessage, limits: Limits): Promise<SendOutcome | Busy> {
  const content = toBaileysContent(message)
  let jid: string | null
  try {
    jid = await destinationOf(deps, message.recipient, limits.deadline)
  } catch (error) {
    const why = whyUnsent(error)
    if (!why) throw error
    return notSent(why)
  }
  if (jid === null) {
    return rejected('recipient_not_on_whatsapp', 'The number is not on WhatsApp. Nothing was sent.', null)
  }
  if (limits.typingMs > 0) {
    const { typingMs } = limits
    limits.typingMs = 0
    limits.deadline += await deps.type(jid, typingMs)
  }
  const { deadline } = limits
  let result = await tryOnce(deps, message, jid, content, deadline)
  if (isStale(result)) {
    await forgetDevices(deps, jid)
    result = await tryOnce(deps, message, jid, content, deadline)
  }
  switch (result.kind) {
    case 'acked':
      return { kind: 'acked', at: result.at, lid: await knownLid(deps, message.recipient, jid) }
    case 'unknown':
      return { kind: 'unknown', reason: result.reason }
    case 'unsent':
      return notSent(result)
    case 'error':
      if (result.error === ackErrors.reachOutRestricted) {
        const untilMs = await deps.onRestricted()
        const outcome = rejected('reach_out_restricted', 'WhatsApp does not let this account write to new contacts (463).', 463)
        return { ...outcome, untilMs }
      }
      return rejected('rejected_by_whatsapp', `WhatsApp refused the message with error ${result.error}.`, result.error)
  }
}

/** Null when nobody is there. A message to a number without WhatsApp would "succeed" and go nowhere. */
async function destinationOf(deps: SendDeps, recipient: string, deadline: number): Promise<string | null> {
  const phoneNumber = phoneNumberOf(recipient)
  if (phoneNumber === null) return recipient
  const known = deps.caches.contacts.get(phoneNumber)
  if (known) return known.exists ? known.jid : null
  const lookup = lookUpContacts(deps.socket, deps.caches.contacts, [phoneNumber])
  const [contact] =
    (await withDeadline(
      Promise.race([lookup, deps.acks.closed]),
      deadline - monotonicMs(),
      'timed_out',
      'contact check unanswered',
    )) ?? []
  if (!contact) throw new Error('contact check unanswered')
  return contact.exists ? contact.jid : null
}

async function tryOnce(
  { socket, acks }: SendDeps,
  message: OutgoingMessage,
  jid: string,
  content: ReturnType<typeof toBaileysContent>,
  deadline: number,
): Promise<AckResult> {
  const ack = acks.expect(message.whatsappId, deadline - monotonicMs())
  // It resolves when the bytes are written, even into a dead socket, and may never settle at all: only its failure says something.
  socket.sendMessage(jid, content, { messageId: message.whatsappId, ...quotedBy(message) }).catch((error: unknown) => {
    const why = whyUnsent(error)
    if (why) acks.unsent(message.whatsappId, why)
    else acks.fail(message.whatsappId, reasonOf(error))
  })
  return ack
}

/**
 * Baileys asks for devices, keys and group members before it writes a message; what the server refuses there, and what cannot be
 * encrypted, concerns this recipient alone: the socket is sound. Null: it may have been written.
 */
function whyUnsent(error: unknown): Unsent | null {
  if (!(error instanceof Error)) return null
  const reason = reasonOf(error)
  // Only refused queries carry the server's number there.
  const number = 'data' in error && typeof error.data === 'number' ? error.data : null
  const isNotBuilt = reason === encryptionFailed || reason.startsWith('Invalid group metadata response')
  return number !== null || isNotBuilt ? { error: number, reason } : null
}

function notSent({ error, reason }: Unsent): SendOutcome | Busy {
  if (error === 429 || (error !== null && error >= 500)) return { kind: 'busy', reason }
  const why = error === null ? `it could not be made ready (${reason})` : `WhatsApp answered with error ${error} (${reason})`
  return rejected('rejected_by_whatsapp', `Nothing was sent: ${why}.`, error)
}

/** The server's view of the recipient's devices is not ours, or no Signal session with them works. */
function isStale(result: AckResult): boolean {
  if (result.kind === 'error') return result.error === ackErrors.staleDevices
  return result.kind === 'unsent' && result.reason === encryptionFailed
}

async function forgetDevices({ socket, caches }: SendDeps, jid: string): Promise<void> {
  const user = jidDecode(jid)?.user ?? ''
  const devices = caches.devices.get<{ device?: number }[]>(user) ?? []
  caches.devices.del(user)
  const own = jidDecode(socket.user?.id)?.user
  if (own) caches.devices.del(own)
  const lid = kindOfJid(jid) === 'phone' ? await socket.signalRepository.lidMapping.getLIDForPN(jid) : null
  const ofPhone = [jid, ...devices.map(({ device }) => transferDevice(`${user}:${device ?? 0}@x`, jid))]
  // Sessions are kept under the LID once it is known, and may still lie under the number.
  const ofLid = lid ? ofPhone.map((each) => transferDevice(each, lid)) : []
  await socket.signalRepository.deleteSession([...new Set([...ofPhone, ...ofLid])])
}

async function knownLid({ socket, caches }: SendDeps, recipient: string, jid: string): Promise<string | null> {
  if (kindOfJid(jid) === 'group') return null
  const phoneNumber = phoneNumberOf(recipient)
  const known = phoneNumber === null ? undefined : caches.contacts.get(phoneNumber)
  if (known?.lid) return known.lid
  const lid = await withDeadline(lidOfContact(socket, jid), lidTimeoutMs).catch(() => null)
  if (phoneNumber !== null && lid !== null) caches.contacts.set(phoneNumber, { exists: true, jid, lid })
  return lid
}

function rejected(code: Extract<SendOutcome, { kind: 'rejected' }>['code'], detail: string, ackError: number | null) {
  return { kind: 'rejected' as const, code, detail, ackError, untilMs: null }
}

function unknown(error: unknown): SendOutcome {
  return { kind: 'unknown', reason: reasonOf(error) }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 200) : 'failed'
}
