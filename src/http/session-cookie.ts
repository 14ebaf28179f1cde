// The sign-in cookie of people: a signed time of expiry, bound to the admin key, so that another key ends all sessions.
import { createHmac, randomBytes } from 'node:crypto'
import { parseCookie, stringifySetCookie } from 'cookie'
import { sameText } from '../platform/crypto.ts'

const cookieName = 'ujumbe_session'
const lifeSeconds = 12 * 3600

export interface SignIn {
  nonce: string
  expiresAt: number
}

export class SessionCookies {
  private readonly key: Buffer

  constructor(adminKey: string) {
    this.key = createHmac('sha256', adminKey).update('ujumbe session cookie').digest()
  }

  /** The `Set-Cookie` header of a new sign-in. */
  issue(isHttps: boolean, nowMs = Date.now()): string {
    const claim = `${Math.floor(nowMs / 1000) + lifeSeconds}.${randomBytes(12).toString('base64url')}`
    return this.header(`${claim}.${this.sign(claim)}`, lifeSeconds, isHttps)
  }

  /** The `Set-Cookie` header that ends it. */
  clear(isHttps: boolean): string {
    return this.header('', 0, isHttps)
  }

  /** The sign-in that a `Cookie` header holds, when it is ours and has not run out. */
  read(cookieHeader: string | undefined, nowMs = Date.now()): SignIn | null {
    if (cookieHeader === undefined || !cookieHeader.includes(cookieName)) return null
    const value = parseCookie(cookieHeader)[cookieName] ?? ''
    const end = value.lastIndexOf('.')
    const claim = value.slice(0, end)
    if (end < 1 || !sameText(value.slice(end + 1), this.sign(claim))) return null
    const [seconds, nonce = ''] = claim.split('.', 2)
    const expiresAt = Number(seconds) * 1000
    return expiresAt > nowMs ? { nonce, expiresAt } : null
  }

  private sign(claim: string): string {
    return createHmac('sha256', this.key).update(claim).digest('base64url')
  }

  private header(value: string, maxAge: number, secure: boolean): string {
    return stringifySetCookie({ name: cookieName, value, maxAge, path: '/', httpOnly: true, sameSite: 'strict', secure })
  }
}
