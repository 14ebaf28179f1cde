// The proxy of a session: which URLs are one, what is shown of it, and its sealed form in the settings.
import { AppError, hasCode } from '../platform/errors.ts'
import type { SessionRecord, SessionSettings, SessionStore } from '../store/session-store.ts'
import { guardUrl, type GuardPolicy } from '../webhooks/guard-url.ts'
import type { SecretBox } from '../webhooks/secret-box.ts'

type ProxySettings = Pick<SessionSettings, 'proxyUrl' | 'sealedProxyUrl'>

const protocols = ['http:', 'https:', 'socks5:', 'socks5h:']
const maxLength = 2_000
/** SOCKS5 gives one byte to the length of either. */
const maxSocksCredentialBytes = 255
const mask = '***'

/** @throws AppError `invalid_request` */
export function parseProxyUrl(text: string): URL {
  if (text.length > maxLength) throw refused('has more than 2,000 characters')
  const url = URL.parse(text)
  if (!url) throw refused('is no address such as socks5://user:password@proxy.example:1080')
  if (!protocols.includes(url.protocol)) throw refused('does not begin with http://, https://, socks5:// or socks5h://')
  if (url.hostname === '') throw refused('has no host')
  if (!['', '/'].includes(url.pathname) || /[?#]/.test(text)) throw refused('has a path or a query; a proxy has neither')
  for (const part of [url.username, url.password]) {
    const bytes = decodedBytes(part)
    if (bytes === null) throw refused('has a user name or password that is not percent-encoded as it should be')
    if (url.protocol.startsWith('socks') && bytes > maxSocksCredentialBytes) {
      throw refused('has a user name or password of more than 255 bytes')
    }
  }
  if (url.password !== '' && url.username === '') throw refused('has a password without a user name')
  return url
}

/** The password is write-only; that there is one may be seen. */
export function shownProxyUrl(url: URL): string {
  const shown = new URL(url)
  if (shown.password !== '') shown.password = mask
  return shown.href.replace(/\/$/, '')
}

/**
 * What a wanted `proxyUrl` becomes in the settings; null when it is what is there already. What is shown of a URL stands for the whole of it.
 * @throws AppError `invalid_request`, `admin_only`, `url_not_allowed`
 */
export async function prepareProxy(
  { secretBox, guardPolicy }: { secretBox: SecretBox; guardPolicy: GuardPolicy },
  sessionId: string,
  input: { wanted: string | null; current: string | null; isAdmin: boolean },
): Promise<ProxySettings | null> {
  const { wanted, current, isAdmin } = input
  const url = wanted === null ? null : parseProxyUrl(wanted)
  const shown = url && shownProxyUrl(url)
  const isMasked = url?.password === mask
  if (shown === current && (isMasked || !url?.password)) return null
  if (!isAdmin) throw new AppError('admin_only', 'Only an admin key may set a proxy: settings.proxyUrl.')
  if (!url) return { proxyUrl: null, sealedProxyUrl: null }
  if (isMasked) throw refused('has its password masked, and is not the one that is set; give it with its password')
  await guardUrl(url.href, guardPolicy, { protocols, allowCredentials: true })
  const sealed = secretBox.seal(proxyContext(sessionId), Buffer.from(url.href))
  return { proxyUrl: shown, sealedProxyUrl: Buffer.from(sealed).toString('base64') }
}

/** With its password; null without a proxy. @throws AppError `credentials_unreadable` */
export function openProxyUrl(box: SecretBox, { id, settings }: Pick<SessionRecord, 'id' | 'settings'>): URL | null {
  if (settings.proxyUrl === null) return null
  if (!settings.sealedProxyUrl) throw new AppError('credentials_unreadable', 'The sealed address of the proxy is missing.')
  return new URL(box.open(proxyContext(id), Buffer.from(settings.sealedProxyUrl, 'base64')).toString())
}

interface ResealDeps {
  sessions: Pick<SessionStore, 'listSealedProxies' | 'resealProxy'>
  keyRing: SecretBox & { isCurrent(sealed: Uint8Array): boolean }
}

/** Rotating the master key, one page; safe to repeat and to break off. Go on after `lastSessionId` until it is null. */
export async function resealProxies(
  { sessions, keyRing }: ResealDeps,
  limit: number,
  afterId: string,
): Promise<{ resealed: number; unreadable: string[]; lastSessionId: string | null }> {
  const page = await sessions.listSealedProxies({ afterId, limit })
  const unreadable: string[] = []
  let resealed = 0
  for (const { id, sealedProxyUrl } of page) {
    const sealed = Buffer.from(sealedProxyUrl, 'base64')
    if (keyRing.isCurrent(sealed)) continue
    try {
      const renewed = keyRing.seal(proxyContext(id), keyRing.open(proxyContext(id), sealed))
      if (await sessions.resealProxy(id, sealedProxyUrl, Buffer.from(renewed).toString('base64'))) resealed += 1
    } catch (error) {
      if (!hasCode(error, 'credentials_unreadable')) throw error
      unreadable.push(id)
    }
  }
  return { resealed, unreadable, lastSessionId: page.length < limit ? null : (page.at(-1)?.id ?? null) }
}

/** Sealed for one session, it does not open for another. */
function proxyContext(sessionId: string): string {
  return `session|${sessionId}|proxy`
}

function decodedBytes(part: string): number | null {
  try {
    return Buffer.byteLength(decodeURIComponent(part))
  } catch {
    return null
  }
}

function refused(message: string): AppError {
  return new AppError('invalid_request', `The proxy's address ${message}.`, {
    errors: [{ path: 'settings.proxyUrl', message }],
  })
}
