// Who was seen typing to one phone, and until when: by a message, by "paused", or until the phone stops believing it.

export interface Typing {
  /** Phone number. */
  from: string
  /** Milliseconds since 1970, here and below. */
  at: number
  /** Null while it is shown. */
  endedAt: number | null
}

const maxCount = 20
/** The app stops showing what nobody has said again for so long. */
const shownMs = 25_000

export class TypingLog {
  #entries: Typing[] = []

  /** Oldest first. */
  list(now = Date.now()): Typing[] {
    return this.#entries.map((entry) => {
      const staleAt = entry.at + shownMs
      return entry.endedAt === null && now >= staleAt ? { ...entry, endedAt: staleAt } : { ...entry }
    })
  }

  begin(from: string, now = Date.now()): void {
    this.end(from, now)
    this.#entries.push({ from, at: now, endedAt: null })
    if (this.#entries.length > maxCount) this.#entries.shift()
  }

  /** A message from them, or "paused". */
  end(from: string, now = Date.now()): void {
    const shown = this.#entries.findLast((entry) => entry.from === from && entry.endedAt === null)
    if (shown) shown.endedAt = Math.min(now, shown.at + shownMs)
  }
}
