// Fetching a web page that somebody's text points to: through the guard of webhooks at every step, bounded in time, bytes and redirects.
import { request, type Dispatcher } from 'undici'
import { hasCode } from '../platform/errors.ts'
import { version } from '../platform/version.ts'
import { guardUrl, type GuardPolicy } from '../webhooks/guard-url.ts'
import { decodePage } from './page-head.ts'

const maxRedirects = 3
/** What is longer is read so far: the head comes first. */
const maxBytes = 256 * 1024

/** Why there is no page, in one stable word. */
class PageRefused extends Error {
  readonly reason: string

  constructor(reason: string) {
    super(reason)
    this.reason = reason
  }
}

export interface FetchDeps {
  policy: GuardPolicy
  /** Checks every address when it connects. */
  agent: Dispatcher
}

/** The page's text. @throws PageRefused, or what the network throws; AppError `url_not_allowed`; `signal`'s reason */
export async function fetchPage(deps: FetchDeps, url: URL, signal: AbortSignal): Promise<string> {
  let target = url
  for (let redirects = 0; ; redirects += 1) {
    const allowed = await guardUrl(target.href, deps.policy)
    signal.throwIfAborted()
    const answer = await request(allowed, {
      dispatcher: deps.agent,
      signal,
      headers: { 'user-agent': `Ujumbe/${version}`, accept: 'text/html', 'accept-encoding': 'identity' },
    })
    // Ending an answer that nobody reads is an error of its stream, which would end the process.
    answer.body.on('error', () => undefined)
    const location = redirectOf(answer)
    if (location === null) return readPage(answer)
    answer.body.destroy()
    if (redirects === maxRedirects) throw new PageRefused('too_many_redirects')
    const next = URL.parse(location, target)
    if (!next) throw new PageRefused('bad_redirect')
    target = next
  }
}

type Answer = Dispatcher.ResponseData

function redirectOf({ statusCode, headers }: Answer): string | null {
  return statusCode >= 300 && statusCode < 400 ? first(headers['location']) : null
}

async function readPage({ statusCode, headers, body }: Answer): Promise<string> {
  const contentType = first(headers['content-type']) ?? ''
  const encoding = first(headers['content-encoding'])?.trim().toLowerCase() ?? 'identity'
  const refusal =
    statusCode !== 200
      ? `status_${statusCode}`
      : !/^\s*text\/html\s*(;|$)/i.test(contentType)
        ? 'not_html'
        : encoding !== 'identity' && encoding !== ''
          ? 'encoded'
          : null
  if (refusal !== null) {
    body.destroy()
    throw new PageRefused(refusal)
  }
  const chunks: Buffer[] = []
  let length = 0
  // Leaving the loop ends the answer, and with it the connection.
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= maxBytes) break
  }
  return decodePage(Buffer.concat(chunks).subarray(0, maxBytes), contentType)
}

/** A stable word instead of library texts, which hold addresses. */
export function refusalOf(error: unknown): string {
  if (error instanceof PageRefused) return error.reason
  if (hasCode(error, 'url_not_allowed')) return 'address_not_allowed'
  if (error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError')) return 'timed_out'
  return 'request_failed'
}

function first(value: string | string[] | undefined): string | null {
  return (Array.isArray(value) ? value[0] : value) ?? null
}
