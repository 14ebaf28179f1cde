// The pairing of one session over one socket: shows QR codes as they come and makes pairing codes, each gone when it expires.
import { AppError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { EventDraft } from '../store/event-store.ts'
import type { WhatsAppClient } from '../whatsapp/whatsapp-client.ts'
import type { LiveChanges } from './live-session.ts'
import { codeAvailable } from './session-events.ts'
import { notConnected } from './session-command.ts'

interface PairingDeps {
  client: Pick<WhatsAppClient, 'requestPairingCode'>
  /** Digits; the number a code is made for unless another is asked for. */
  pairingPhoneNumber: string | null
  /** Into Redis only. */
  show(changes: LiveChanges): void
  tell(draft: EventDraft): void
  /** A code would be made on a socket that ends soon: a new one is needed first. */
  renew(): void
  log: Log
}

interface PairingCode {
  code: string
  phoneNumber: string
  expiresAt: number
}

/** WhatsApp ends a pairing socket when its six QR codes are used up, 160 s after the first; a pairing code ends with it. */
const socketLifeMs = 160_000
/** The least time a person gets to type a code. */
const leastCodeMs = 60_000

export class Pairing {
  readonly #deps: PairingDeps
  #firstQrAt: number | undefined
  #code: PairingCode | undefined
  #making: Promise<PairingCode> | undefined

  constructor(deps: PairingDeps) {
    this.#deps = deps
  }

  /** Codes can be asked for. */
  get isReady(): boolean {
    return this.#firstQrAt !== undefined
  }

  onQr(update: { qr: string; expiresAt: number }): void {
    const isFirst = !this.isReady
    this.#firstQrAt ??= Date.now()
    this.#deps.show({ qr: update })
    this.#deps.tell(codeAvailable('session.qr', update.expiresAt))
    if (!isFirst || this.#deps.pairingPhoneNumber === null) return
    this.code(null).catch((err: unknown) => this.#deps.log.warn({ err }, 'pairing_code.not_made'))
  }

  /**
   * The code still valid for that number, or a new one.
   * @throws AppError `invalid_request` (no number known), `session_not_connected` (before the first QR), what the client throws
   */
  async code(phoneNumber: string | null): Promise<{ code: string; expiresAt: number }> {
    const number = phoneNumber ?? this.#deps.pairingPhoneNumber
    if (number === null) {
      throw new AppError('invalid_request', 'The session has no pairingPhoneNumber: name the number.', {
        errors: [{ path: 'phoneNumber', message: 'required' }],
      })
    }
    // One at a time: each request voids the code before it.
    await this.#making?.catch(() => undefined)
    const known = this.#code
    if (known?.phoneNumber === number && known.expiresAt > Date.now()) return { code: known.code, expiresAt: known.expiresAt }
    this.#making = this.#make(number)
    const { code, expiresAt } = await this.#making
    return { code, expiresAt }
  }

  async #make(phoneNumber: string): Promise<PairingCode> {
    if (this.#firstQrAt === undefined) throw notConnected('The session has no QR code yet; pairing codes come after the first.')
    const expiresAt = this.#firstQrAt + socketLifeMs
    if (expiresAt - Date.now() < leastCodeMs) {
      this.#deps.renew()
      throw notConnected('The session is getting fresh codes. Ask again.')
    }
    const raw = await this.#deps.client.requestPairingCode(phoneNumber)
    const code = { code: `${raw.slice(0, 4)}-${raw.slice(4)}`, phoneNumber, expiresAt }
    this.#code = code
    this.#deps.show({ pairingCode: code })
    this.#deps.tell(codeAvailable('session.pairing_code', expiresAt))
    return code
  }
}
