// What a session is when it is new, and the rules on its state that need no I/O.
import type { SessionRecord, SessionSettings } from '../store/session-store.ts'

/** WhatsApp publishes no limits for linked devices: these are cautious. */
const defaultPacing = { messagesPerMinute: 20, burst: 1, perRecipientSeconds: 6, newContactsPerDay: 'warmup' } as const

/** Settings of a session whose maker named none. */
const defaultSettings: SessionSettings = {
  ...defaultPacing,
  typing: false,
  maxQueueDepth: 10_000,
  markOnline: false,
  pairingTimeoutSeconds: 600,
  proxyUrl: null,
}

export const maxKeysPerSession = 100

interface NewSession {
  id: string
  displayName: string
  pairingPhoneNumber: string | null
  settings: Partial<SessionSettings>
  metadata: Record<string, string>
  now: number
}

/** A session connects by itself: it is claimable from its first moment. */
export function newSession(input: NewSession): SessionRecord {
  return {
    id: input.id,
    displayName: input.displayName,
    status: 'pending',
    statusReason: null,
    phoneNumber: null,
    lid: null,
    pushName: null,
    formerPhoneNumber: null,
    restriction: null,
    health: null,
    settings: { ...defaultSettings, ...input.settings },
    metadata: input.metadata,
    pairingPhoneNumber: input.pairingPhoneNumber,
    pairingStartedAt: null,
    network: null,
    intent: 'connect',
    intentRevision: 1,
    claimable: true,
    epoch: 0,
    createdAt: input.now,
    updatedAt: input.now,
    lastConnectedAt: null,
    lastEventAt: null,
    deletedAt: null,
  }
}

/** Strangers a day that nobody needs leave for: what the warm-up begins with. */
const leastWarmup = 20

/** Pacing settings that are faster than the defaults, and not what they are already: for these it takes an admin. */
export function fasterSettings(changes: Partial<SessionSettings>, current: SessionSettings): string[] {
  const { messagesPerMinute, burst, perRecipientSeconds, newContactsPerDay } = changes
  const isFaster = {
    messagesPerMinute: messagesPerMinute === null || (messagesPerMinute ?? 0) > defaultPacing.messagesPerMinute,
    burst: (burst ?? 0) > defaultPacing.burst,
    perRecipientSeconds: perRecipientSeconds === null || (perRecipientSeconds ?? Infinity) < defaultPacing.perRecipientSeconds,
    newContactsPerDay: newContactsPerDay === null || (typeof newContactsPerDay === 'number' && newContactsPerDay > leastWarmup),
  }
  return (Object.keys(isFaster) as (keyof typeof isFaster)[]).filter(
    (field) => isFaster[field] && changes[field] !== current[field],
  )
}

/** It has credentials of a finished pairing, so that there is nothing to scan. */
export function isPaired(session: Pick<SessionRecord, 'network' | 'status'>): boolean {
  if (session.status === 'connected') return true
  return session.network !== null && session.status !== 'logged_out' && session.status !== 'pairing'
}

/** Somebody is, or soon will be, asking WhatsApp for a QR code. */
export function willPair(session: Pick<SessionRecord, 'network' | 'status' | 'intent' | 'claimable'>): boolean {
  return session.intent === 'connect' && session.claimable && !isPaired(session)
}
