// What one held session remembers over its reconnects: made once per claim, thrown away with it, since another holder may write.
import { BoundedCache } from './bounded-cache.ts'

const hourMs = 3_600_000

/** What WhatsApp said about a phone number. */
export interface KnownContact {
  exists: boolean
  /** Where to send to: WhatsApp's spelling of the number, which may differ (Brazil, Mexico, Argentina). */
  jid: string
  lid: string | null
}

export interface SessionCaches {
  /** Signal sessions, the large ones; `null` remembers that there is none. */
  readonly signalSessions: BoundedCache
  /** All other Signal keys, by `<type>.<id>`. */
  readonly keys: BoundedCache
  /** Devices by user; WhatsApp tells of changes, so they may stay long. Each miss costs five times a warm send. */
  readonly devices: BoundedCache
  /** The server's last hash of the devices of both sides of a chat, by user. */
  readonly deviceHashes: BoundedCache<string>
  readonly retryCounts: BoundedCache
  readonly placeholders: BoundedCache
  readonly calls: BoundedCache
  readonly contacts: BoundedCache<KnownContact>
  /** The last write of keys that was begun; never rejects. A new socket reads only when it has landed. */
  writing: Promise<void>
  /** Forgets keys that may not be what the store holds. */
  forgetKeys(): void
}

export const contactTtlMs = { onWhatsApp: 24 * hourMs, notOnWhatsApp: hourMs } as const

/** About 2 MB when full. */
export function createSessionCaches(): SessionCaches {
  const signalSessions = new BoundedCache({ maxCount: 300 })
  const keys = new BoundedCache({ maxCount: 2_000 })
  return {
    signalSessions,
    keys,
    devices: new BoundedCache({ maxCount: 2_000, ttlMs: 24 * hourMs }),
    deviceHashes: new BoundedCache<string>({ maxCount: 2_000 }),
    retryCounts: new BoundedCache({ maxCount: 1_000, ttlMs: hourMs }),
    placeholders: new BoundedCache({ maxCount: 500, ttlMs: hourMs }),
    calls: new BoundedCache({ maxCount: 100, ttlMs: hourMs / 12 }),
    contacts: new BoundedCache<KnownContact>({ maxCount: 5_000, ttlMs: contactTtlMs.onWhatsApp }),
    writing: Promise.resolve(),
    forgetKeys() {
      signalSessions.flushAll()
      keys.flushAll()
    },
  }
}
