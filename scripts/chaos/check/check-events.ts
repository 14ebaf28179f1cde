// Events at the receiver: none missing, none under two numbers, and statuses that only move forward.
import type { History, ReceivedEvent, Violation } from './history.ts'

const rank = ['scheduled', 'queued', 'sending', 'sent', 'delivered', 'read', 'played']

export function checkEvents(history: Pick<History, 'events' | 'lastSequences' | 'stored'>): Violation[] {
  const bySession = Map.groupBy(history.events, ({ sessionId }) => sessionId)
  return [
    ...[...history.lastSequences].flatMap(([sessionId, last]) => checkSequence(sessionId, bySession.get(sessionId) ?? [], last)),
    ...checkStatuses(history),
  ]
}

/** Gapless from 1 to `last`; a repeated delivery is the same event under the same id. */
function checkSequence(sessionId: string, events: readonly ReceivedEvent[], last: number): Violation[] {
  const violations: Violation[] = []
  const bySequence = new Map<number, ReceivedEvent>()
  for (const event of events) {
    const known = bySequence.get(event.sequence)
    bySequence.set(event.sequence, known ?? event)
    if (event.webhookId !== event.eventId || (known && known.eventId !== event.eventId)) {
      const text = `sequence ${event.sequence} came as ${known?.eventId ?? event.eventId} and as ${event.webhookId}`
      violations.push({ rule: 'event_doubled', sessionId, ...message(event), text })
    }
  }
  for (let sequence = 1; sequence <= last; sequence += 1) {
    if (!bySequence.has(sequence))
      violations.push({ rule: 'event_lost', sessionId, text: `sequence ${sequence} of ${last} never came` })
  }
  return violations
}

function checkStatuses({ events, stored }: Pick<History, 'events' | 'stored'>): Violation[] {
  const violations: Violation[] = []
  const final = new Map(stored.map((row) => [row.messageId, row.status]))
  const told = Map.groupBy(
    events.filter(({ messageId, status }) => messageId !== null && status !== null),
    ({ messageId }) => messageId ?? '',
  )
  for (const [messageId, its] of told) {
    const inOrder = its.toSorted((a, b) => a.sequence - b.sequence)
    const violation = { messageId, sessionId: inOrder[0]?.sessionId ?? '' }
    let last = ''
    for (const { status, sequence } of inOrder) {
      if (status === last) continue
      if (!isForward(last, status ?? '')) {
        violations.push({ ...violation, rule: 'status', text: `${last} was followed by ${status} (sequence ${sequence})` })
      }
      last = status ?? ''
    }
    const row = final.get(messageId)
    if (row !== undefined && row !== last) {
      violations.push({ ...violation, rule: 'status', text: `last told as ${last}, but stored as ${row}` })
    }
  }
  return violations
}

/** An end is an end, but a failure of unknown outcome gives way to proof. */
function isForward(from: string, to: string): boolean {
  if (from === '') return true
  if (from === 'failed') return rank.indexOf(to) >= rank.indexOf('sent')
  const start = rank.indexOf(from)
  if (start < 0) return false
  const end = rank.indexOf(to)
  return end < 0 || end > start
}

function message({ messageId }: ReceivedEvent): { messageId?: string } {
  return messageId === null ? {} : { messageId }
}
