// The console of processes that load libsignal: it prints private keys in normal work ("Closing session:" and the session).
import { maskNumber, type Log } from './log.ts'

type ConsoleLog = Pick<Log, 'debug' | 'warn'>

const methods = {
  trace: 'debug',
  debug: 'debug',
  log: 'debug',
  info: 'debug',
  dir: 'debug',
  warn: 'warn',
  error: 'warn',
} as const
/** What libsignal says with a whole session behind it; the sentence itself is of no use either. */
const sessionDump =
  /^(Closing|Opening) (open |stale open )?session|^Removing old closed session|^Session already (closed|open)|^Migrating session/i
const maxLength = 200

let isInstalled = false
let target: ConsoleLog | undefined

/**
 * Replaces the console's methods, once per process: session dumps are dropped, of anything else the first sentence goes to the log.
 * Objects are never printed, whoever prints them. Without a log nothing is said at all. Calling it again only changes the log.
 */
export function quietConsole(log?: ConsoleLog): void {
  target = log ?? target
  if (isInstalled) return
  isInstalled = true
  const console = globalThis.console as unknown as Record<string, unknown>
  for (const [method, level] of Object.entries(methods)) {
    console[method] = (...args: unknown[]) => say(level, args[0])
  }
}

function say(level: 'debug' | 'warn', first: unknown): void {
  const text = typeof first === 'string' ? first : first instanceof Error ? first.message : ''
  if (text === '' || sessionDump.test(text)) return
  target?.[level]({ detail: maskNumber(text.split('\n', 1)[0] ?? '').slice(0, maxLength) }, 'console.printed')
}
