// The logger Baileys gets: sentences only. Its objects hold plaintext, stanzas and keys, so none of them is passed on.
import type { UserFacingSocketConfig } from '@whiskeysockets/baileys'
import { maskNumber, type Log } from '../platform/log.ts'

type BaileysLog = NonNullable<UserFacingSocketConfig['logger']>

const nothing = () => undefined

/** What Baileys calls an error is mostly an expected one; it is for whoever looks closely. Its `level` never reaches `debug`. */
export function createBaileysLog(log: Log): BaileysLog {
  const adapter: BaileysLog = {
    level: 'warn',
    child: () => adapter,
    trace: nothing,
    debug: nothing,
    info: nothing,
    warn: (fields, message) => log.debug(said(fields, message), 'whatsapp.library_warned'),
    error: (fields, message) => log.debug(said(fields, message), 'whatsapp.library_failed'),
  }
  return adapter
}

function said(fields: unknown, message: string | undefined): { detail: string; reason?: string } {
  const detail = short(message ?? (typeof fields === 'string' ? fields : ''))
  const error = typeof fields === 'object' && fields !== null ? errorIn(fields) : undefined
  return error ? { detail, reason: short(`${error.name}: ${error.message}`) } : { detail }
}

function errorIn(fields: object): Error | undefined {
  return Object.values(fields).find((value) => value instanceof Error)
}

function short(text: string): string {
  return maskNumber(text.split('\n', 1)[0] ?? '').slice(0, 200)
}
