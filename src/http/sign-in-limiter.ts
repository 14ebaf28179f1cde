// Bounds guesses at the sign-in form, per address.
import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import { AppError } from '../platform/errors.ts'

/**
 * Who asks. Of a proxy on this machine it is whom that one names last; what stands before it the client may have written itself. Proxies
 * elsewhere cannot be told from clients: theirs share a limit.
 */
export function clientAddress(remoteAddress: string, headers: IncomingHttpHeaders): string {
  if (!/^(::ffff:)?127\.|^::1$/.test(remoteAddress)) return remoteAddress
  const forwarded = String(headers['x-forwarded-for'] ?? '')
  return (
    forwarded
      .slice(forwarded.lastIndexOf(',') + 1)
      .trim()
      .slice(0, 100) || remoteAddress
  )
}

const windowMs = 60_000
const failuresAllowed = 10

export class SignInLimiter {
  private readonly failures = new LRUCache<string, number>({ max: 10_000, ttl: windowMs, noUpdateTTL: true })

  /** @throws AppError `too_many_requests` */
  check(address: string): void {
    if ((this.failures.get(address) ?? 0) < failuresAllowed) return
    throw new AppError('too_many_requests', undefined, { retryAfterSeconds: windowMs / 1000 })
  }

  /** The window begins with the first failure. */
  failed(address: string): void {
    this.failures.set(address, (this.failures.get(address) ?? 0) + 1)
  }
}
