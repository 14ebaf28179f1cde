// The lines of the list: fetched page by page, changed by events, searched.
import { request } from '../../api/request.ts'
import type { Page, Session, SessionLine } from '../../api/resources.ts'
import { phone } from '../../parts/words.ts'

/** Many at most, newest first: the page tells when there are more. */
const maxPages = 50

export interface SessionList {
  lines: SessionLine[]
  /** There are older ones. */
  isCut: boolean
}

export async function listSessions(signal: AbortSignal): Promise<SessionList> {
  const lines: SessionLine[] = []
  let cursor: string | null = null
  for (let page = 0; page < maxPages; page++) {
    const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const { data, nextCursor } = await request<Page<SessionLine>>('GET', `/v1/fleet/sessions?limit=200${query}`, { signal })
    lines.push(...data)
    if (nextCursor === null) return { lines, isCut: false }
    cursor = nextCursor
  }
  return { lines, isCut: true }
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
