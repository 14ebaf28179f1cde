// Structured logs: fixed dotted events in the past tense, data in fields, secrets and people's numbers cut away.
import { destination, pino, stdSerializers, type Logger } from 'pino'

export type Log = Logger

const secretFields = [
  'authorization',
  'apiKey',
  'key',
  'secret',
  'webhookSecret',
  'password',
  'cookie',
  'qr',
  'pairingCode',
  'creds',
  'credentials',
  'text',
  'body',
  'headers',
  'content',
  'proxyUrl',
]
const secretNames = new Set(secretFields)
const censor = '[redacted]'

/** All but the last four digits become dots. */
export function maskNumber(value: string): string {
  return value.replace(/\d{5,}/g, (digits) => `…${digits.slice(-4)}`)
}

interface LogOptions {
  process: string
  level: string
  pretty?: boolean
  /** Lines go out together, up to 200 ms late: a write for each costs a busy API a tenth of its time. Flushed at exit, but not by kill -9. */
  buffered?: boolean
  destination?: NodeJS.WritableStream
}

/** One logger per process; `child({ sessionId })` below it. Phone numbers belong in `phoneNumber`, `to` or `jid` only: these are cut. */
export function createLog(options: LogOptions): Log {
  const settings = {
    level: options.level,
    base: { process: options.process, pid: process.pid },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }), log: withoutNestedSecrets },
    redact: { paths: secretFields, censor },
    serializers: {
      err: serializeError,
      phoneNumber: maskUnknown,
      to: maskUnknown,
      jid: maskUnknown,
      lid: maskUnknown,
    },
  }
  if (options.pretty) {
    return pino({ ...settings, transport: { target: 'pino-pretty', options: { colorize: true, ignore: 'pid' } } })
  }
  if (options.buffered) {
    const together = { sync: false, minLength: 8_192, periodicFlush: 200, contentMode: 'buffer' } as const
    // Kept as text, all that waits would be copied and measured anew with every line. The types know texts only.
    const lines = destination(together) as unknown as { write(line: Buffer): boolean }
    return pino(settings, { write: (line) => void lines.write(Buffer.from(line)) })
  }
  return options.destination ? pino(settings, options.destination) : pino(settings)
}

/** Secrets one level down. pino's own wildcards would walk every path for every value of a line, each number and text included. */
function withoutNestedSecrets(fields: Record<string, unknown>): Record<string, unknown> {
  let clean = fields
  for (const name of Object.keys(fields)) {
    const value = fields[name]
    if (typeof value !== 'object' || value === null || name === 'err') continue
    const held = Object.keys(value).filter((key) => secretNames.has(key))
    if (held.length === 0) continue
    clean = { ...clean, [name]: { ...value, ...Object.fromEntries(held.map((key) => [key, censor])) } }
  }
  return clean
}

function maskUnknown(value: unknown): unknown {
  return typeof value === 'string' ? maskNumber(value) : censor
}

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return maskUnknown(String(error))
  const plain = stdSerializers.err(error)
  const code: unknown = (error as { code?: unknown }).code
  return {
    type: plain.type,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    message: maskNumber(plain.message ?? ''),
    stack: maskNumber(plain.stack ?? ''),
  }
}
