// One HTTP attempt: bounded in time and bytes, and it follows nothing.
import { errors, type Dispatcher } from 'undici'
import { AppError, hasCode } from '../platform/errors.ts'
import { isReservedHeader } from './endpoint.ts'
import { hideEchoes } from './hide-echoes.ts'
import { parseRetryAfter } from './retry-schedule.ts'

export interface WebhookRequest {
  url: URL
  headers: Record<string, string>
  body: string
}

export interface AttemptResult {
  /** When it began, milliseconds since the epoch. */
  at: number
  /** HTTP status; null when no answer came. */
  status: number | null
  durationMs: number
  /** A stable word; null when a whole answer came in time. With a `status` only its head came, or it was a redirect. */
  error: string | null
  /** The first kilobyte of the answer, without the values of the endpoint's own headers. */
  answer: string | null
  retryAfterMs: number | null
}

const keptBytes = 1_024
/** An answer that is longer is cut off, and with it the connection. */
const maxAnswerBytes = 8_192

export function isSuccess(result: AttemptResult): boolean {
  return result.error === null && result.status !== null && result.status >= 200 && result.status < 300
}

/** The receiver is unwell, rather than this one event unwelcome: what the breaker counts. */
export function isReceiverFailure(result: AttemptResult): boolean {
  if (result.error !== null && result.error !== 'redirect_not_followed') return true
  const status = result.status ?? 0
  return status >= 500 || status === 429 || status === 408 || status === 425
}

/**
 * Whatever the receiver does is a result. `timeoutMs` spans everything: name, connection, answer and its body.
 * @throws AppError `shutting_down` when the dispatcher was destroyed meanwhile: nothing is known of this attempt.
 */
export async function postWebhook(dispatcher: Dispatcher, request: WebhookRequest, timeoutMs: number): Promise<AttemptResult> {
  const at = Date.now()
  const startedAt = performance.now()
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined
    let status: number | null = null
    let retryAfterMs: number | null = null
    let received = 0
    let settled = false
    const chunks: Buffer[] = []
    const secrets = Object.entries(request.headers).flatMap(([name, value]) => (isReservedHeader(name) ? [] : [value]))
    const settle = (error: string | null) => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      const isRedirect = error === null && status !== null && status >= 300 && status < 400
      const isCutOff = error !== null && status !== null
      resolve({
        at,
        status,
        durationMs: Math.round(performance.now() - startedAt),
        error: isRedirect ? 'redirect_not_followed' : isCutOff ? 'answer_unfinished' : error,
        answer:
          status === null ? null : firstKilobyte(hideEchoes(textOf(chunks), secrets, isCutOff || received > maxAnswerBytes)),
        retryAfterMs,
      })
    }
    const fail = (error: unknown) => {
      const code = codeOf(error)
      if (code !== 'UND_ERR_DESTROYED' && code !== 'UND_ERR_CLOSED') return settle(errorWord(error))
      settled = true
      clearTimeout(timer)
      return reject(new AppError('shutting_down', undefined, { cause: error }))
    }
    const timer = setTimeout(() => {
      settle('timed_out')
      controller?.abort(new Error('timed out'))
    }, timeoutMs)

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (started) => {
        controller = started
        if (settled) started.abort(new Error('timed out'))
      },
      onResponseStart: (_, code, headers) => {
        if (code < 200) return // 100 Continue, 103 Early Hints
        status = code
        const asked = headers['retry-after']
        retryAfterMs = parseRetryAfter(Array.isArray(asked) ? asked[0] : asked, Date.now())
      },
      onResponseData: (running, chunk) => {
        if (received < maxAnswerBytes) chunks.push(Buffer.from(chunk.subarray(0, maxAnswerBytes - received)))
        received += chunk.length
        if (received <= maxAnswerBytes) return
        settle(null)
        running.abort(new Error('the answer is too long'))
      },
      onResponseEnd: () => settle(null),
      onResponseError: (_, error) => fail(error),
    }
    const { url } = request
    try {
      dispatcher.dispatch(
        {
          origin: url.origin,
          path: url.pathname + url.search,
          method: 'POST',
          headers: request.headers,
          body: request.body,
          idempotent: false,
        },
        handler,
      )
    } catch (error) {
      fail(error)
    }
  })
}

function textOf(chunks: Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8').replaceAll('\0', '')
}

function firstKilobyte(text: string): string {
  return Buffer.from(text).subarray(0, keptBytes).toString('utf8')
}

const words: Record<string, string> = {
  ECONNREFUSED: 'connection_refused',
  ECONNRESET: 'connection_closed',
  EPIPE: 'connection_closed',
  UND_ERR_SOCKET: 'connection_closed',
  UND_ERR_CONNECT_TIMEOUT: 'connect_timed_out',
  ETIMEDOUT: 'connect_timed_out',
  UND_ERR_HEADERS_TIMEOUT: 'timed_out',
  UND_ERR_BODY_TIMEOUT: 'timed_out',
  UND_ERR_HEADERS_OVERFLOW: 'answer_headers_too_long',
  ENOTFOUND: 'name_not_found',
  EAI_AGAIN: 'name_not_resolved',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
}

/** Stable words instead of library texts, which hold addresses. */
function errorWord(error: unknown): string {
  if (hasCode(error, 'url_not_allowed')) return 'address_not_allowed'
  if (error instanceof errors.HTTPParserError) return 'answer_not_http'
  const code = codeOf(error) ?? codeOf((error as { errors?: unknown[] }).errors?.[0])
  if (code === undefined) return 'request_failed'
  if (words[code]) return words[code]
  return /CERT|TLS|SSL|SELF_SIGNED|ISSUER/.test(code) ? 'tls_failed' : 'request_failed'
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : undefined
}
