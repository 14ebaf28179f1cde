// The one table of error codes: HTTP status, whether a retry can help, and the sentence a user reads.

interface ErrorRule {
  status: number
  retryable: boolean
  /** Plain English: what happened and what to do. */
  title: string
}

/** Every code that leaves the product, in the API, on messages or in logs. `docs/errors.md` is generated from it. */
export const errorTable = {
  // requests
  malformed_json: { status: 400, retryable: false, title: 'The body is not valid JSON. Check it and send it again.' },
  invalid_request: { status: 400, retryable: false, title: 'The request does not fit the schema. See `errors` for each fault.' },
  not_yet_supported: { status: 400, retryable: false, title: 'This part of the API is not supported yet. Leave the field out.' },
  url_not_allowed: {
    status: 400,
    retryable: false,
    title: 'The address is not allowed: it must be http(s), on a permitted port, and not in a private network.',
  },
  unauthorized: {
    status: 401,
    retryable: false,
    title: 'No API key, or one that is not known. Send `Authorization: Bearer <key>`.',
  },
  missing_scope: { status: 403, retryable: false, title: 'The key is known but lacks the scope that this call needs.' },
  admin_only: { status: 403, retryable: false, title: 'Only an admin key may do this.' },
  cross_origin: { status: 403, retryable: false, title: 'The request came from another site. Use the API with a key instead.' },
  not_found: { status: 404, retryable: false, title: 'There is nothing here, or it does not belong to your key.' },
  method_not_allowed: { status: 405, retryable: false, title: 'This address does not take this method. See /docs.' },
  request_timed_out: { status: 408, retryable: true, title: 'The request did not arrive whole in time. Send it again.' },
  session_already_paired: {
    status: 409,
    retryable: false,
    title: 'The session is paired already. Log it out first to pair it anew.',
  },
  session_not_connected: {
    status: 409,
    retryable: true,
    title: 'The session is not in the state this call needs. Wait until it is, or connect it.',
  },
  qr_not_ready: { status: 409, retryable: true, title: 'No QR code yet. Ask again after `Retry-After` seconds.' },
  message_not_cancelable: {
    status: 409,
    retryable: false,
    title: 'The message is already being sent, or has ended. It can no longer be canceled.',
  },
  last_key: { status: 409, retryable: false, title: 'This is the key of the request itself. Use another key to delete it.' },
  endpoint_disabled: {
    status: 409,
    retryable: false,
    title: 'The endpoint is disabled and gets nothing. Enable it first: `PATCH` it with `{"enabled": true}`.',
  },
  event_expired: { status: 409, retryable: false, title: 'The event is older than 7 days and no longer kept.' },
  replay_running: {
    status: 409,
    retryable: true,
    title: 'A replay to this endpoint is running already. Wait until it has finished, or stop it.',
  },
  conflict: { status: 409, retryable: true, title: 'The resource changed at the same moment. Read it again and retry.' },
  cursor_expired: {
    status: 410,
    retryable: false,
    title: 'Events after this place are no longer kept: some were missed. Read on from `oldestCursor`.',
  },
  body_too_large: { status: 413, retryable: false, title: 'The body is larger than 1 MB.' },
  unsupported_media_type: { status: 415, retryable: false, title: 'Send the body as application/json.' },
  idempotency_key_reused: {
    status: 422,
    retryable: false,
    title: 'This Idempotency-Key was used with another body within 24 hours.',
  },
  headers_too_large: { status: 431, retryable: false, title: 'The headers are larger than 16 kB.' },
  queue_full: {
    status: 429,
    retryable: true,
    title: 'The session has reached its `maxQueueDepth`. Try again after `Retry-After` seconds.',
  },
  too_many_requests: { status: 429, retryable: true, title: 'Too many requests. Try again after `Retry-After` seconds.' },
  internal: { status: 500, retryable: true, title: 'Something unexpected happened. It is in the log under this request id.' },
  redis_unavailable: { status: 503, retryable: true, title: 'Redis cannot be reached. Nothing was stored; try again.' },
  store_unavailable: { status: 503, retryable: true, title: 'The database cannot be reached. Nothing was stored; try again.' },
  accept_outcome_unknown: {
    status: 503,
    retryable: true,
    title: 'The database did not answer in time. Retry with the same Idempotency-Key: the message is then taken at most once.',
  },
  session_busy: { status: 503, retryable: true, title: 'The session did not answer in time. Try again.' },
  shutting_down: { status: 503, retryable: true, title: 'This process is stopping. Try again; another one answers.' },
  // messages
  recipient_not_on_whatsapp: { status: 400, retryable: false, title: 'The number is not on WhatsApp. Nothing was sent.' },
  outcome_unknown: {
    status: 500,
    retryable: false,
    title: 'WhatsApp never acknowledged the message. It may or may not have arrived.',
  },
  rejected_by_whatsapp: {
    status: 400,
    retryable: false,
    title: 'WhatsApp refused the message. `detail` holds its error number.',
  },
  reach_out_restricted: {
    status: 400,
    retryable: false,
    title: 'WhatsApp does not let this account write to new contacts at present.',
  },
  session_logged_out: { status: 409, retryable: false, title: 'The session was logged out before the message was sent.' },
  session_deleted: { status: 409, retryable: false, title: 'The session was deleted before the message was sent.' },
  // inside the fleet
  stale_epoch: { status: 409, retryable: false, title: 'Another worker holds the session now. This write was refused.' },
  lease_lost: { status: 409, retryable: true, title: 'This worker no longer holds the session.' },
  socket_closed: { status: 503, retryable: true, title: 'The connection to WhatsApp closed before an answer came.' },
  timed_out: { status: 503, retryable: true, title: 'No answer within the time allowed.' },
  credentials_unreadable: {
    status: 500,
    retryable: false,
    title: 'Stored credentials cannot be decrypted with any known master key. Restore the key; nothing is erased.',
  },
  configuration: { status: 500, retryable: false, title: 'The configuration is not usable. See the detail.' },
} as const satisfies Record<string, ErrorRule>

export type ErrorCode = keyof typeof errorTable

interface AppErrorOptions {
  cause?: unknown
  /** Becomes the `Retry-After` header. */
  retryAfterSeconds?: number
  errors?: { path: string; message: string }[]
  /** Where a reader of the event log can go on. */
  oldestCursor?: string
}

/** An expected failure. `message` is the detail for the user: never a secret, never a stack. */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly status: number
  readonly retryAfterSeconds: number | undefined
  readonly errors: { path: string; message: string }[] | undefined
  readonly oldestCursor: string | undefined

  constructor(code: ErrorCode, detail?: string, options: AppErrorOptions = {}) {
    super(detail ?? errorTable[code].title, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AppError'
    this.code = code
    this.retryable = errorTable[code].retryable
    this.status = errorTable[code].status
    this.retryAfterSeconds = options.retryAfterSeconds
    this.errors = options.errors
    this.oldestCursor = options.oldestCursor
  }
}

export function hasCode(error: unknown, code: ErrorCode): error is AppError {
  return error instanceof AppError && error.code === code
}
