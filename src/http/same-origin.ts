// Proof that a request with a cookie was made by a page of ours: other sites, and other ports of this host, are refused.
import type { IncomingHttpHeaders } from 'node:http'

/**
 * `proven`: the browser says that our own origin asked. `foreign`: it says that another one did.
 * `unknown`: no browser, or one that says nothing. SameSite=Strict alone would let other ports of the same host through.
 */
export function originOf(headers: IncomingHttpHeaders): 'proven' | 'foreign' | 'unknown' {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin' ? 'proven' : 'foreign'
  const origin = headers.origin
  if (origin === undefined) return 'unknown'
  const url = URL.parse(origin)
  return url !== null && url.host === headers.host ? 'proven' : 'foreign'
}
