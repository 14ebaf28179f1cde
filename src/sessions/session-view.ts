// A session as the API and its events show it.
import { isoTime } from '../platform/clock.ts'
import type { SessionHealth, SessionRecord, SessionSettings } from '../store/session-store.ts'

export interface SessionView {
  [field: string]: unknown
  id: string
  displayName: string
  status: SessionRecord['status']
  statusReason?: string
  phoneNumber: string | null
  lid: string | null
  pushName: string | null
  restriction?: { reason: string; until: string }
  health: (Omit<SessionHealth, 'at'> & { at: string }) | null
  settings: Omit<SessionSettings, 'proxyUrl' | 'sealedProxyUrl'> & { proxyUrl?: string }
  metadata: Record<string, string>
  createdAt: string
  lastConnectedAt: string | null
  lastEventAt: string | null
}

export function sessionView(session: SessionRecord): SessionView {
  const { proxyUrl, sealedProxyUrl: _, ...settings } = session.settings
  return {
    id: session.id,
    displayName: session.displayName,
    status: session.status,
    ...(session.statusReason === null ? {} : { statusReason: session.statusReason }),
    phoneNumber: session.phoneNumber,
    lid: session.lid,
    pushName: session.pushName,
    ...(session.restriction === null || session.restriction.until <= Date.now()
      ? {}
      : { restriction: { reason: session.restriction.reason, until: isoTime(session.restriction.until) } }),
    health: session.health === null ? null : { ...session.health, at: isoTime(session.health.at) },
    settings: proxyUrl === null ? settings : { ...settings, proxyUrl },
    metadata: session.metadata,
    createdAt: isoTime(session.createdAt),
    lastConnectedAt: isoTimeOrNull(session.lastConnectedAt),
    lastEventAt: isoTimeOrNull(session.lastEventAt),
  }
}

function isoTimeOrNull(ms: number | null): string | null {
  return ms === null ? null : isoTime(ms)
}
