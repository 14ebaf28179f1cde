// Who is calling: a key in a header, or the sign-in cookie. Keys are known by their SHA-256 and remembered for a moment.
import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import { sameText, sha256Hex } from '../platform/crypto.ts'
import { AppError } from '../platform/errors.ts'
import { sessionKeyPrefix } from '../sessions/issue-key.ts'
import type { KeyRecord, KeyStore } from '../store/key-store.ts'
import type { Caller } from './route.ts'
import { originOf } from './same-origin.ts'
import type { SessionCookies } from './session-cookie.ts'
import type { SignedOut } from './signed-out.ts'

/** A key that was deleted, rotated or lost its session works no longer than this on other API processes, and not at all on this one. */
const rememberedMs = 1_000
const keyPattern = /^uj_ses_[A-Za-z0-9_-]{43}$/

interface AuthenticatorDeps {
  keys: Pick<KeyStore, 'findByHash'>
  adminKey: string
  cookies: SessionCookies
  signedOut: Pick<SignedOut, 'has'>
}

export class Authenticator {
  private readonly deps: AuthenticatorDeps
  private readonly adminHash: string
  private readonly lookups = new LRUCache<string, Promise<KeyRecord | null>>({ max: 5_000, ttl: rememberedMs })

  constructor(deps: AuthenticatorDeps) {
    this.deps = deps
    this.adminHash = sha256Hex(deps.adminKey)
  }

  /**
   * Null when no credentials were given. A header decides alone: a wrong key is not helped by a good cookie.
   * @throws AppError `unauthorized` when they are not known, `cross_origin` when a cookie comes with a change from elsewhere.
   */
  async identify(method: string, headers: IncomingHttpHeaders): Promise<Caller | null> {
    const key = keyFrom(headers)
    if (key !== null) return this.identifyKey(key)
    const signIn = this.deps.cookies.read(headers.cookie)
    if (!signIn || (await this.deps.signedOut.has(signIn))) return null
    if (method !== 'GET' && method !== 'HEAD' && originOf(headers) !== 'proven') throw new AppError('cross_origin')
    return { kind: 'admin', via: 'cookie' }
  }

  isAdminKey(key: string): boolean {
    return sameText(sha256Hex(key), this.adminHash)
  }

  /** After a key of this session was changed here. */
  forgetKeys(): void {
    this.lookups.clear()
  }

  private async identifyKey(key: string): Promise<Caller> {
    const hash = sha256Hex(key)
    if (sameText(hash, this.adminHash)) return { kind: 'admin', via: 'key' }
    const record = key.startsWith(sessionKeyPrefix) && keyPattern.test(key) ? await this.find(hash) : null
    const isValid = record !== null && sameText(record.hash, hash) && (record.expiresAt === null || record.expiresAt > Date.now())
    if (!isValid) throw new AppError('unauthorized')
    const { sessionId, id: keyId, scopes, expiresAt } = record
    return { kind: 'session', sessionId, keyId, scopes, expiresAt }
  }

  /** Requests that arrive together share one look-up; a failed one is not remembered. */
  private find(hash: string): Promise<KeyRecord | null> {
    const known = this.lookups.get(hash)
    if (known) return known
    const lookup = this.deps.keys.findByHash(hash)
    this.lookups.set(hash, lookup)
    lookup.catch(() => this.lookups.delete(hash))
    return lookup
  }
}

function keyFrom(headers: IncomingHttpHeaders): string | null {
  const authorization = headers.authorization
  if (authorization !== undefined) {
    const [, key] = /^bearer +(\S+) *$/i.exec(authorization) ?? []
    if (key === undefined) throw new AppError('unauthorized')
    return key
  }
  const apiKey = headers['x-api-key']
  return typeof apiKey === 'string' ? apiKey : null
}
