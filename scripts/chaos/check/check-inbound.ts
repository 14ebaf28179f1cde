// What people wrote to sessions: each message stored once, and told once.
import type { History, Violation } from './history.ts'
import { mayBeMissed } from './may-be-missed.ts'

type Gaps = Pick<History, 'inboundGaps' | 'lostWithDevice'>

export function checkInbound(history: Pick<History, 'inbound' | 'stored' | 'events'> & Gaps): Violation[] {
  const { inbound, stored, events } = history
  const isExcused = mayBeMissed(history)
  const violations: Violation[] = []
  const received = stored.filter(({ direction }) => direction === 'inbound')
  const rows = Map.groupBy(received, ({ sessionId, whatsappId }) => `${sessionId} ${whatsappId}`)
  const told = Map.groupBy(
    distinct(events).filter(({ type }) => type === 'message.received'),
    ({ messageId }) => messageId,
  )
  for (const message of inbound) {
    const { sessionId, whatsappId, phone } = message
    const found = rows.get(`${sessionId} ${whatsappId}`) ?? []
    const [row] = found
    const named = { sessionId, whatsappId, ...(row ? { messageId: row.messageId } : {}) }
    if (!row && !isExcused(message))
      violations.push({ ...named, rule: 'inbound_lost', text: `written by ${phone}, but not stored` })
    if (found.length > 1) violations.push({ ...named, rule: 'inbound_doubled', text: `stored ${found.length} times` })
    const toldCount = row ? (told.get(row.messageId)?.length ?? 0) : 1
    if (toldCount > 1) violations.push({ ...named, rule: 'inbound_doubled', text: `told by ${toldCount} events` })
  }
  return violations
}

function distinct<T extends { eventId: string }>(events: readonly T[]): T[] {
  return [...new Map(events.map((event) => [event.eventId, event])).values()]
}
