// "typing…" on the recipient's phone for a while before a message, which ends it.
import type { WASocket } from '@whiskeysockets/baileys'
import { monotonicMs, sleep } from '../platform/clock.ts'

export interface TypingDeps {
  socket: WASocket
  /** Ends the pause early: the message leaves at once. */
  hurry: AbortSignal | undefined
  /** Rejects as soon as the socket ends. */
  whileAlive: (work: Promise<void>) => Promise<void>
}

/**
 * The chat's state alone is told: the account never says that it is online for this. Baileys asks for nothing before it writes that, and the
 * server answers nothing. Resolves with what it took. @throws AppError `socket_closed`
 */
export async function showTyping({ socket, hurry, whileAlive }: TypingDeps, jid: string, typingMs: number): Promise<number> {
  if (hurry?.aborted) return 0
  const startedAt = monotonicMs()
  // Nothing depends on it, and a socket that cannot be written to says so itself.
  socket.sendPresenceUpdate('composing', jid).catch(() => undefined)
  await whileAlive(sleep(typingMs, hurry))
  return monotonicMs() - startedAt
}
