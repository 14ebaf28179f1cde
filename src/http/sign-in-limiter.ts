// Bounds guesses at the sign-in form, per address.
import { LRUCache } from 'lru-cache'
import { AppError } from '../platform/errors.ts'

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
