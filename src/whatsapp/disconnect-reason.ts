// Why a socket ended, and what is to be done: the disconnect table as data.

/** What follows a close. */
export type DisconnectAction =
  /** New socket at once, same credentials (after pairing: 515). */
  | 'restart'
  /** Backoff with full jitter. */
  | 'retry'
  | 'retry_slowly'
  /** New pairing refs until the pairing times out. */
  | 'new_refs'
  /** Another socket of the same device: never blindly. */
  | 'conflict'
  /** Credentials are erased: `logged_out`. */
  | 'logged_out'
  /** Credentials are kept: `disconnected`, an operator's matter. */
  | 'give_up'
  /** We closed it ourselves. */
  | 'none'

export interface DisconnectRule {
  code: number
  /** Stable snake_case name, used as statusReason, metric label and in logs. */
  reason: string
  action: DisconnectAction
  /** Many of these at once are the network's fault, not the sessions'. */
  isNetwork: boolean
}

export interface DisconnectCause extends DisconnectRule {
  /** What the server or the socket said, without secrets. */
  detail: string
}

/**
 * Who said the code. A number alone proves nothing: a proxy that answers the WebSocket upgrade with 401 or 403 must not
 * log a session out, and Baileys throws 401 of its own before it is authenticated.
 */
export type DisconnectSource =
  /** `<stream:error>` */
  | 'stream'
  /** `<failure>` at login */
  | 'failure'
  /** The TCP connection, TLS or the HTTP upgrade. */
  | 'socket'
  /** Baileys itself: timers, handshake, pairing. */
  | 'library'

interface SourcedRule extends DisconnectRule {
  source: DisconnectSource
  /** Where several share a source and a code. */
  says?: RegExp
}

const rule = (
  source: DisconnectSource,
  code: number,
  reason: string,
  action: DisconnectAction,
  options: { isNetwork?: boolean; says?: RegExp } = {},
): SourcedRule => ({
  source,
  code,
  reason,
  action,
  isNetwork: options.isNetwork ?? false,
  ...(options.says ? { says: options.says } : {}),
})

/** The first that fits is taken; what fits none is `fallbackRules[source]`. */
export const disconnectRules: readonly SourcedRule[] = [
  rule('stream', 515, 'restart_required', 'restart'),
  rule('stream', 401, 'device_removed', 'logged_out'),
  rule('stream', 403, 'banned', 'give_up'),
  rule('stream', 405, 'client_outdated', 'give_up'),
  rule('stream', 411, 'pairing_rejected', 'logged_out'),
  rule('stream', 429, 'rate_limited', 'retry_slowly'),
  rule('stream', 440, 'replaced_elsewhere', 'conflict'),
  rule('stream', 503, 'service_unavailable', 'retry_slowly', { isNetwork: true }),
  rule('failure', 401, 'login_refused', 'logged_out'),
  rule('failure', 402, 'temporarily_banned', 'retry_slowly'),
  rule('failure', 403, 'banned', 'give_up'),
  rule('failure', 405, 'client_outdated', 'give_up'),
  rule('failure', 406, 'banned', 'give_up'),
  rule('failure', 409, 'client_outdated', 'give_up'),
  rule('failure', 411, 'pairing_rejected', 'logged_out'),
  rule('failure', 429, 'rate_limited', 'retry_slowly'),
  rule('failure', 440, 'replaced_elsewhere', 'conflict'),
  rule('failure', 503, 'service_unavailable', 'retry_slowly', { isNetwork: true }),
  rule('socket', 429, 'rate_limited', 'retry_slowly', { isNetwork: true }),
  rule('socket', 503, 'service_unavailable', 'retry_slowly', { isNetwork: true }),
  rule('library', 408, 'pairing_refs_used_up', 'new_refs', { says: /^QR refs attempts ended/ }),
  rule('library', 408, 'connection_lost', 'retry', { isNetwork: true }),
  rule('library', 411, 'pairing_rejected', 'logged_out', { says: /^Multi-device beta not joined/ }),
  rule('library', 428, 'connection_closed', 'retry', { isNetwork: true }),
]

export const fallbackRules: Readonly<Record<DisconnectSource, DisconnectRule>> = {
  stream: { code: 500, reason: 'stream_error', action: 'retry', isNetwork: false },
  failure: { code: 500, reason: 'login_failed', action: 'retry_slowly', isNetwork: false },
  socket: { code: 408, reason: 'unreachable', action: 'retry', isNetwork: true },
  library: { code: 500, reason: 'unexpected_error', action: 'retry', isNetwork: false },
}

/** What ends a socket on our side; code 0, since nobody sent one. */
export const ownCauses = {
  closed: { code: 0, reason: 'closed_by_us', action: 'none', isNetwork: false },
  leaseLost: { code: 0, reason: 'lease_lost', action: 'none', isNetwork: false },
  staleEpoch: { code: 0, reason: 'stale_epoch', action: 'none', isNetwork: false },
  /** No byte can be read after it: the cipher's counters no longer agree. */
  badFrame: { code: 408, reason: 'bad_frame', action: 'retry', isNetwork: false },
  /** The session's own way, and nobody else's. */
  proxyFailed: { code: 0, reason: 'proxy_failed', action: 'retry', isNetwork: false },
  notStored: { code: 0, reason: 'not_stored', action: 'retry', isNetwork: false },
  credentialsUnreadable: { code: 0, reason: 'credentials_unreadable', action: 'give_up', isNetwork: false },
} as const satisfies Record<string, DisconnectRule>

/** Reads `lastDisconnect.error`. Never throws. */
export function causeOf(error: unknown): DisconnectCause {
  const message = error instanceof Error ? error.message : ''
  const code = statusCodeOf(error)
  const source = sourceOf(message)
  const found = disconnectRules.find(
    (each) => each.source === source && each.code === code && (each.says === undefined || each.says.test(message)),
  )
  const { reason, action, isNetwork } = found ?? fallbackRules[source]
  return { code: found?.code ?? code ?? fallbackRules[source].code, reason, action, isNetwork, detail: detailOf(message) }
}

function sourceOf(message: string): DisconnectSource {
  if (message.startsWith('Stream Errored')) return 'stream'
  if (message.startsWith('Connection Failure')) return 'failure'
  return message.startsWith('WebSocket Error') ? 'socket' : 'library'
}

function statusCodeOf(error: unknown): number | undefined {
  const output = error instanceof Error && 'output' in error ? error.output : undefined
  const code = typeof output === 'object' && output !== null && 'statusCode' in output ? output.statusCode : undefined
  return typeof code === 'number' && Number.isInteger(code) ? code : undefined
}

function detailOf(message: string): string {
  return message === '' ? 'no reason given' : message.replace(/\d{5,}/g, '…').slice(0, 200)
}
