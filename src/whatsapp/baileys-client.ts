// The WhatsApp client over one Baileys socket: what can be asked of it while it lives.
import { withDeadline } from '../platform/clock.ts'
import { AppError } from '../platform/errors.ts'
import { quietConsole } from '../platform/quiet-console.ts'
import { lidOfContact, lookUpContacts } from './contact-lookup.ts'
import { ownCauses } from './disconnect-reason.ts'
import { sendAndAwaitAck } from './send-and-await-ack.ts'
import { showTyping } from './show-typing.ts'
import { SocketLife, type WhatsAppClientDeps } from './socket-life.ts'
import type { ClientEvents, OutgoingMessage, SendOutcome, WhatsAppClient } from './whatsapp-client.ts'

const queryTimeoutMs = 15_000
/** How long a 463 waits to learn until when. */
const restrictionTimeoutMs = 3_000

/** Connects at once; what happens is told to `events`. */
export function createWhatsAppClient(deps: WhatsAppClientDeps, events: ClientEvents): WhatsAppClient {
  quietConsole(deps.log)
  return new BaileysClient(deps, events)
}

class BaileysClient implements WhatsAppClient {
  readonly #deps: WhatsAppClientDeps
  readonly #life: SocketLife

  constructor(deps: WhatsAppClientDeps, events: ClientEvents) {
    this.#deps = deps
    this.#life = new SocketLife(deps, events)
  }

  get isOpen(): boolean {
    return this.#life.openSocket !== undefined
  }

  get lastTrafficAt(): number {
    return this.#life.lastTrafficAt
  }

  get unackedSince(): number | null {
    return this.#life.acks.unackedSince
  }

  async send(message: OutgoingMessage, ackTimeoutMs: number, hurry?: AbortSignal): Promise<SendOutcome> {
    const socket = this.#life.openSocket
    if (!socket) return { kind: 'unknown', reason: 'the socket is not open' }
    const { acks } = this.#life
    const onRestricted = () => this.#restricted()
    const type = (jid: string, typingMs: number) =>
      showTyping({ socket, hurry, whileAlive: (work) => this.#life.whileAlive(work) }, jid, typingMs)
    return sendAndAwaitAck({ socket, acks, caches: this.#deps.caches, onRestricted, type }, message, ackTimeoutMs)
  }

  async requestPairingCode(phoneNumber: string): Promise<string> {
    // Before the first QR the socket is not yet registered, and the code would be asked for in vain.
    const hasQr = await withDeadline(this.#life.firstQr.promise, queryTimeoutMs)
    const socket = hasQr ? this.#life.pairingSocket : undefined
    if (!socket) throw new AppError('session_not_connected', 'The session is not waiting to be paired.')
    try {
      return await withDeadline(this.#life.whileAlive(socket.requestPairingCode(phoneNumber)), queryTimeoutMs)
    } catch (error) {
      throw error instanceof AppError ? error : new AppError('session_not_connected', undefined, { cause: error })
    }
  }

  async checkContacts(phoneNumbers: string[]): Promise<{ phoneNumber: string; exists: boolean; lid: string | null }[]> {
    const socket = this.#life.openSocket
    if (!socket) throw new AppError('socket_closed')
    const check = async () => {
      const answers = await lookUpContacts(socket, this.#deps.caches.contacts, phoneNumbers)
      if (!answers) throw new AppError('timed_out')
      const known = answers.filter(({ exists, lid }) => exists && lid === null).map(({ jid }) => jid)
      // One query for all whose LID is not known yet; each is then read from memory.
      if (known.length > 0) await socket.signalRepository.lidMapping.getLIDsForPNs(known)
      return Promise.all(
        answers.map(async ({ phoneNumber, exists, lid, jid }) => {
          return { phoneNumber, exists, lid: exists ? (lid ?? (await lidOfContact(socket, jid))) : null }
        }),
      )
    }
    try {
      return await withDeadline(this.#life.whileAlive(check()), queryTimeoutMs)
    } catch (error) {
      throw error instanceof AppError ? error : new AppError('socket_closed', undefined, { cause: error })
    }
  }

  async ping(timeoutMs: number): Promise<boolean> {
    const socket = this.#life.openSocket ?? this.#life.pairingSocket
    if (!socket) return false
    const query = socket.query(
      { tag: 'iq', attrs: { to: 's.whatsapp.net', type: 'get', xmlns: 'w:p' }, content: [{ tag: 'ping', attrs: {} }] },
      timeoutMs,
    )
    const answer: unknown = await withDeadline(this.#life.whileAlive(query), timeoutMs).catch(() => undefined)
    return answer !== undefined
  }

  async logout(timeoutMs: number): Promise<void> {
    const socket = this.#life.openSocket
    const jid = socket?.user?.id
    this.#life.explain(ownCauses.closed)
    if (socket && jid) {
      const device = { tag: 'remove-companion-device', attrs: { jid, reason: 'user_initiated' } }
      const query = socket.query(
        { tag: 'iq', attrs: { to: 's.whatsapp.net', type: 'set', xmlns: 'md' }, content: [device] },
        timeoutMs,
      )
      // The server may answer, or close the socket at once; either way the device is gone.
      await withDeadline(this.#life.whileAlive(query), timeoutMs).catch(() => undefined)
    }
    await this.close()
  }

  close(): Promise<void> {
    return this.#life.end(ownCauses.closed, { polite: true })
  }

  async #restricted(): Promise<number | null> {
    const socket = this.#life.openSocket
    const asked = socket ? withDeadline(socket.fetchAccountReachoutTimelock(), restrictionTimeoutMs) : undefined
    // Told as an event too when there is an answer; without one, until when is not known.
    const answer = await asked?.catch(() => undefined)
    if (!answer?.isActive) this.#life.reportRestricted(this.#life.restrictedUntil)
    return answer?.timeEnforcementEnds?.getTime() ?? this.#life.restrictedUntil
  }
}
