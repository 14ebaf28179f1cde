// Counters of the whole sandbox: the server raises the first ones, the phones the last three.

export interface Stats {
  /** Sockets open now. */
  socketsOpen: number
  logins: number
  /** Message stanzas that came in over sockets, repeated ones included; without the housekeeping between an account's own devices. */
  frames: number
  /** Acks to such messages that were really written. */
  acks: number
  /** Messages a phone got again under an id it already had. */
  duplicates: number
  orderViolations: number
  decryptFailures: number
}

export function createStats(): Stats {
  return { socketsOpen: 0, logins: 0, frames: 0, acks: 0, duplicates: 0, orderViolations: 0, decryptFailures: 0 }
}

/** Everything to zero but `socketsOpen`, which is a state and not a count. */
export function resetStats(stats: Stats): void {
  Object.assign(stats, createStats(), { socketsOpen: stats.socketsOpen })
}
