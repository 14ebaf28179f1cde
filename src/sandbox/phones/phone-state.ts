// What the parts of a phone share: the person's account, keys and chats, and the network they live in.
import type { Log } from '../../platform/log.ts'
import type { Account, SandboxNetwork } from '../device.ts'
import type { Faults } from '../server/faults.ts'
import type { Stats } from '../server/stats.ts'
import type { ChatLog } from './chat-log.ts'
import type { GroupKeys } from './group-keys.ts'
import type { SentLog } from './sent-log.ts'
import type { SignalKeys } from './signal-keys.ts'
import type { TypingLog } from './typing-log.ts'

export interface PhoneSettings {
  /** Reads everything at once. */
  autoRead: boolean
  /** Answers every message that did not come from another automatic answer with this text. */
  autoReply: string | undefined
}

export interface PhoneState {
  readonly account: Account
  readonly settings: PhoneSettings
  readonly keys: SignalKeys
  readonly groupKeys: GroupKeys
  readonly chats: ChatLog
  readonly typing: TypingLog
  readonly sent: SentLog
  /** Retry receipts sent per message that could not be decrypted. */
  readonly retries: Map<string, number>
}

export interface PhoneWorld {
  readonly network: SandboxNetwork
  readonly faults: Pick<Faults, 'take'>
  readonly stats: Pick<Stats, 'duplicates' | 'orderViolations' | 'decryptFailures'>
  readonly log: Log
  /** The identity key of the phone with this number. */
  identityOf(phoneNumber: string): Uint8Array | undefined
  /** Companions whose signed identity was checked: `<signal address>|<identity key>`. */
  readonly trustedCompanions: Set<string>
}
