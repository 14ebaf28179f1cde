// What every part of the server works with.
import type { Log } from '../../platform/log.ts'
import type { AccountState, Accounts, Companion } from './accounts.ts'
import type { Connection } from './connection.ts'
import type { Faults } from './faults.ts'
import type { FrameLog } from './frame-log.ts'
import type { Groups } from './groups.ts'
import type { Pairings } from './pairings.ts'
import type { Stats } from './stats.ts'

export interface ServerContext {
  readonly accounts: Accounts
  readonly groups: Groups
  readonly pairings: Pairings
  readonly faults: Faults
  readonly stats: Stats
  readonly frames: FrameLog
  readonly log: Log
  /** `host:port` that `media_conn` names. */
  readonly mediaHost: string
  /** State that outlives the process changed. */
  changed(): void
}

/** A linked device that has logged in. */
export interface Session {
  readonly state: AccountState
  readonly companion: Companion
  readonly connection: Connection
}
