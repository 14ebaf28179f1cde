// What an endpoint may subscribe to and send along: event patterns, extra headers, and the rule that disables it.
import { AppError } from '../platform/errors.ts'
import { isEventPattern } from '../store/endpoint-pattern.ts'

/** What a session's `webhookUrl` subscribes to: everything but session.qr and session.pairing_code. */
export const allEvents = ['*']
const maxPatterns = 50
const maxHeaders = 20
const maxHeaderBytes = 4_096
/** Nothing but failure for so long disables an endpoint. */
export const failingLimitMs = 5 * 24 * 3_600_000
/** A day without a failure begins the row anew; the longest pause between two attempts is shorter. */
export const quietMs = 24 * 3_600_000
/** For so long after a rotation deliveries carry the old signature too. */
export const rotationMs = 24 * 3_600_000

/** Ours, or the connection's own: an endpoint cannot set them. */
const reserved = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'user-agent',
])
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/

export function isReservedHeader(name: string): boolean {
  const lower = name.toLowerCase()
  return reserved.has(lower) || lower.startsWith('webhook-')
}

/** @throws AppError `invalid_request` naming each pattern that matches no event. */
export function checkEvents(events: readonly string[], path = 'events'): string[] {
  const errors = events.flatMap((pattern, index) =>
    isEventPattern(pattern)
      ? []
      : [{ path: `${path}.${index}`, message: 'Not an event type, `*`, or an area such as `message.*`.' }],
  )
  if (events.length === 0 || events.length > maxPatterns) {
    errors.push({ path, message: `Between 1 and ${maxPatterns} patterns.` })
  }
  if (errors.length > 0) throw new AppError('invalid_request', undefined, { errors })
  return [...new Set(events)]
}

/** @throws AppError `invalid_request`; a value never appears in it. */
export function checkHeaders(headers: Readonly<Record<string, string>>): void {
  const entries = Object.entries(headers)
  const errors = entries.flatMap(([name, value]) => {
    if (!token.test(name)) return [{ path: 'headers', message: 'A header name holds a character that is not allowed.' }]
    if (isReservedHeader(name)) return [{ path: `headers.${name}`, message: 'This header is reserved.' }]
    if (!fieldValue.test(value)) return [{ path: `headers.${name}`, message: 'The value holds a character that is not allowed.' }]
    return []
  })
  if (new Set(entries.map(([name]) => name.toLowerCase())).size !== entries.length) {
    errors.push({ path: 'headers', message: 'A header is given twice.' })
  }
  const size = entries.reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value), 0)
  if (entries.length > maxHeaders || size > maxHeaderBytes) {
    errors.push({ path: 'headers', message: `At most ${maxHeaders} headers with ${maxHeaderBytes} bytes together.` })
  }
  if (errors.length > 0) throw new AppError('invalid_request', undefined, { errors })
}
