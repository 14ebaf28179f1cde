// The lines of the list: fetched page by page, sorted so that the sickest stands on top, searched and filtered.
import { request } from '../../api/request.ts'
import type { Page, Session, SessionLine } from '../../api/resources.ts'
import { phone } from '../../parts/words.ts'

export const filters = ['all', 'critical', 'recovering', 'healthy', 'unpaired', 'stopped'] as const
export type Filter = (typeof filters)[number]

export const filterWords: Record<Filter, string> = {
  all: 'All',
  critical: 'Critical',
  recovering: 'Recovering',
  healthy: 'Healthy',
  unpaired: 'To be paired',
  stopped: 'Disconnected',
}

/** Many pages at most: beyond, the search finds what is not listed. */
const maxPages = 50

export async function listSessions(signal: AbortSignal): Promise<SessionLine[]> {
  const lines: SessionLine[] = []
  let cursor: string | null = null
  for (let page = 0; page < maxPages; page++) {
    const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const { data, nextCursor } = await request<Page<SessionLine>>('GET', `/v1/fleet/sessions?limit=200${query}`, { signal })
    lines.push(...data)
    if (nextCursor === null) break
    cursor = nextCursor
  }
  return lines
}

/** A line as an event changes it; what the event does not say stays. */
export function applySession(line: SessionLine, session: Session): SessionLine {
  const { displayName, status, phoneNumber, health, lastEventAt } = session
  const { statusReason: _reason, restriction: _restriction, ...rest } = line
  return {
    ...rest,
    displayName,
    status,
    phoneNumber,
    health,
    lastEventAt: lastEventAt ?? line.lastEventAt,
    ...(session.statusReason === undefined ? {} : { statusReason: session.statusReason }),
    ...(session.restriction === undefined ? {} : { restriction: session.restriction }),
  }
}

export function filterOf(line: SessionLine): Exclude<Filter, 'all'> {
  if (line.status === 'pending' || line.status === 'pairing') return 'unpaired'
  if (line.status === 'disconnected') return 'stopped'
  if (line.health) return line.health.level
  return line.status === 'logged_out' ? 'critical' : line.status === 'reconnecting' ? 'recovering' : 'healthy'
}

/** Sessions that somebody stopped, or that wait to be paired, are no emergency: they stand below those that are ill. */
const rank: Record<Exclude<Filter, 'all'>, number> = { critical: 0, recovering: 1, unpaired: 2, healthy: 3, stopped: 4 }

export function bySickness(a: SessionLine, b: SessionLine): number {
  return (
    rank[filterOf(a)] - rank[filterOf(b)] ||
    (a.health?.score ?? 100) - (b.health?.score ?? 100) ||
    b.queueDepth - a.queueDepth ||
    a.displayName.localeCompare(b.displayName)
  )
}

export function matches(line: SessionLine, search: string): boolean {
  const wanted = search.trim().toLowerCase()
  if (wanted === '') return true
  const digits = wanted.replace(/[^\d]/g, '')
  return (
    line.displayName.toLowerCase().includes(wanted) ||
    line.id === wanted ||
    (digits.length > 2 && (phone(line.phoneNumber) ?? '').includes(digits))
  )
}
