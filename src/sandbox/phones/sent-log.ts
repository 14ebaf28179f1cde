// What a phone sent lately, in plain, so that a device that could not decrypt it can get it once more.

export interface SentMessage {
  id: string
  /** The JID the message went to. */
  destinationJid: string
  /** The stanza's `type`. */
  stanzaType: string
  /** Encoded, not yet padded. */
  plain: Buffer
  /** What the account's own companions get in its place. */
  deviceSent: Buffer
}

const maxSent = 500
const maxAnswered = 2_000

export class SentLog {
  #sent = new Map<string, SentMessage>()
  #answered = new Set<string>()

  add(message: SentMessage): void {
    this.#sent.set(message.id, message)
    forgetBeyond(this.#sent, maxSent)
  }

  get(id: string): SentMessage | undefined {
    return this.#sent.get(id)
  }

  /** True the first time a device asks for this message; a phone answers once. */
  claimRetry(id: string, signalAddress: string): boolean {
    const key = `${id}|${signalAddress}`
    if (this.#answered.has(key)) return false
    this.#answered.add(key)
    forgetBeyond(this.#answered, maxAnswered)
    return true
  }

  save(): SentMessage[] {
    return [...this.#sent.values()]
  }

  restore(messages: SentMessage[]): void {
    for (const message of messages) this.add(message)
  }
}

function forgetBeyond(entries: Set<string> | Map<string, unknown>, max: number): void {
  const oldest = entries.size > max ? entries.keys().next().value : undefined
  if (oldest !== undefined) entries.delete(oldest)
}
