// The other side of the WhatsApp port, scripted by a test: acks at once unless told otherwise, and remembers what it was handed.
import type { OutgoingMessage, SendOutcome, WhatsAppClient } from '../../src/whatsapp/whatsapp-client.ts'

export type SendScript = (message: OutgoingMessage, tryNumber: number) => SendOutcome | Promise<SendOutcome>

export class ScriptedClient implements WhatsAppClient {
  /** Every message handed over, in order, repeats included. */
  readonly frames: OutgoingMessage[]
  isOpen = true
  /** The most sends that were ever under way at once. */
  mostAtOnce = 0
  #script: SendScript
  #underWay = 0
  #closers = new Set<(outcome: SendOutcome) => void>()

  /** `frames` may be shared by the clients of one account, as the server's view of it. */
  constructor(script: SendScript = acked, frames: OutgoingMessage[] = []) {
    this.#script = script
    this.frames = frames
  }

  async send(message: OutgoingMessage): Promise<SendOutcome> {
    this.frames.push(message)
    const tryNumber = this.frames.filter((frame) => frame.whatsappId === message.whatsappId).length
    this.#underWay += 1
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#underWay)
    let closer: ((outcome: SendOutcome) => void) | undefined
    const closed = new Promise<SendOutcome>((resolve) => {
      closer = resolve
      this.#closers.add(resolve)
    })
    try {
      return await Promise.race([this.#script(message, tryNumber), closed])
    } finally {
      if (closer) this.#closers.delete(closer)
      this.#underWay -= 1
    }
  }

  get lastTrafficAt(): number {
    return performance.now()
  }

  get unackedSince(): number | null {
    return null
  }

  async close(): Promise<void> {
    this.isOpen = false
    for (const close of this.#closers) close({ kind: 'unknown', reason: 'socket_closed' })
  }

  async requestPairingCode(): Promise<string> {
    return 'ABCDEFGH'
  }

  async checkContacts(phoneNumbers: string[]) {
    return phoneNumbers.map((phoneNumber) => ({ phoneNumber, exists: true, lid: null }))
  }

  async ping(): Promise<boolean> {
    return this.isOpen
  }

  async logout(): Promise<void> {
    await this.close()
  }
}

export function acked(): SendOutcome {
  return { kind: 'acked', at: Date.now(), lid: null }
}

/** What a phone shows of these frames: the first of each id. */
export function shownOf(frames: readonly { whatsappId: string }[]): string[] {
  return [...new Set(frames.map((frame) => frame.whatsappId))]
}
