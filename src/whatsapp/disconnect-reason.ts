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
