// The way out of a session that has a proxy: opened for the connection, and checked against the guard each time.
import type { SessionRecord } from '../store/session-store.ts'
import { openProxyUrl } from '../sessions/proxy.ts'
import { guardedLookup, mayConnect } from '../webhooks/guarded-agent.ts'
import type { GuardPolicy } from '../webhooks/guard-url.ts'
import type { SecretBox } from '../webhooks/secret-box.ts'
import type { ProxyRoute } from '../whatsapp/proxy-tunnel.ts'

/** Null for a session without one. @throws AppError `credentials_unreadable` */
export type OpenProxy = (session: Pick<SessionRecord, 'id' | 'settings'>) => ProxyRoute | null

export function createProxyOpener(secretBox: SecretBox, policy: GuardPolicy): OpenProxy {
  const lookup = guardedLookup(policy)
  return (session) => {
    const url = openProxyUrl(secretBox, session)
    return url && { url, lookup, mayConnect: (host, port) => mayConnect(host, port, policy) }
  }
}

/** Whether the two go different ways. What no key opens is no reason to end a connection that stands. */
export function goesElsewhere(openProxy: OpenProxy, a: SessionRecord, b: SessionRecord): boolean {
  if (a.settings.sealedProxyUrl === b.settings.sealedProxyUrl) return false
  try {
    // Sealed anew after a rotation of the master key it is the same proxy.
    return openProxy(a)?.url.href !== openProxy(b)?.url.href
  } catch {
    return false
  }
}
