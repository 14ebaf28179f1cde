// Events and the deliveries they call for, written inside the transaction of the change they tell of.
import { newId } from '../../platform/id.ts'
import { isForFleetOnly, matchesEvent } from '../endpoint-pattern.ts'
import { firstAttemptGraceMs, type EventDraft, type NewDelivery, type PublishedEvent } from '../event-store.ts'
import type { Lane } from '../message-store.ts'
import type { SqliteDatabase } from './database.ts'

/** What a change does to its session's counters. */
export interface CounterChange {
  depth: number
  scheduled: number
  lane: Lane
}
const noChange: CounterChange = { depth: 0, scheduled: 0, lane: 'normal' }

/** Must run inside `write`. A session that is gone publishes nothing. */
export function publish(
  db: SqliteDatabase,
  sessionId: string,
  drafts: EventDraft[],
  change: CounterChange = noChange,
): PublishedEvent[] {
  if (drafts.length === 0 && change.depth === 0 && change.scheduled === 0) return []
  const counters = db
    .sql(
      `UPDATE session_counters SET event_sequence = event_sequence + ?, depth = depth + ?, scheduled = scheduled + ?,
         depth_high = depth_high + ?, depth_bulk = depth_bulk + ? WHERE session_id = ? RETURNING event_sequence`,
    )
    .get(drafts.length, change.depth, change.scheduled, ...ofOtherLanes(change), sessionId)
  if (!counters) return []
  return insertEvents(db, sessionId, drafts, Number(counters['event_sequence']) - drafts.length)
}

/**
 * Must run inside `write`. For what is told of a session that is gone, and its counters with it: after the last that the log keeps of it. A
 * session of which it keeps nothing publishes nothing.
 */
export function publishOfGone(db: SqliteDatabase, sessionId: string, drafts: EventDraft[]): PublishedEvent[] {
  const last = db.sql('SELECT max(sequence) AS sequence FROM events WHERE session_id = ?').get(sessionId)?.['sequence']
  return typeof last === 'number' ? insertEvents(db, sessionId, drafts, last) : []
}

/** What changes of `depth_high` and `depth_bulk`. */
export function ofOtherLanes({ lane, depth }: Pick<CounterChange, 'lane' | 'depth'>): [high: number, bulk: number] {
  return [lane === 'high' ? depth : 0, lane === 'bulk' ? depth : 0]
}

/** For callers that have raised the session's event sequence by `drafts.length` themselves. */
export function insertEvents(
  db: SqliteDatabase,
  sessionId: string,
  drafts: EventDraft[],
  lastSequence: number,
): PublishedEvent[] {
  if (drafts.length === 0) return []
  const at = Date.now()
  const listening = listeningEndpoints(db, sessionId)
  return drafts.map((draft, i) => {
    const id = newId('evt')
    const sequence = lastSequence + 1 + i
    const { lastInsertRowid } = db
      .sql('INSERT INTO events (id, session_id, sequence, type, at, data) VALUES (?, ?, ?, ?, ?, ?)')
      .run(id, sessionId, sequence, draft.type, at, JSON.stringify(draft.data))
    const event = { id, sessionId, sequence, type: draft.type, at, data: draft.data, cursor: String(lastInsertRowid) }
    const isHidden = isForFleetOnly(draft)
    const wanted = listening.filter(({ patterns, isOwn }) => matchesEvent(patterns, draft.type) && !(isOwn && isHidden))
    const deliveries = wanted.map(({ endpointId }) => {
      const delivery = { eventId: id, endpointId, sessionId, eventType: draft.type, nextAttemptAt: at + firstAttemptGraceMs }
      return { id: insertDelivery(db, delivery, at), endpointId }
    })
    return { event, deliveries }
  })
}

export function insertDelivery(db: SqliteDatabase, delivery: NewDelivery, at: number, replayId: string | null = null): string {
  const id = newId('dlv')
  db.sql(
    `INSERT INTO deliveries (id, event_id, endpoint_id, session_id, event_type, status, attempt_count, next_attempt_at, attempts,
       created_at, updated_at, replay_id) VALUES (?, ?, ?, ?, ?, 'pending', 0, ?, '[]', ?, ?, ?)`,
  ).run(
    id,
    delivery.eventId,
    delivery.endpointId,
    delivery.sessionId,
    delivery.eventType,
    delivery.nextAttemptAt,
    at,
    at,
    replayId,
  )
  return id
}

function listeningEndpoints(db: SqliteDatabase, sessionId: string): { endpointId: string; isOwn: boolean; patterns: string[] }[] {
  const own = db.sql('SELECT id, events FROM endpoints WHERE session_id = ? AND enabled = 1').all(sessionId)
  const fleetWide = db.sql('SELECT id, events FROM endpoints WHERE session_id IS NULL AND enabled = 1').all()
  return [...own, ...fleetWide].map((row, i) => ({
    endpointId: row['id'] as string,
    isOwn: i < own.length,
    patterns: JSON.parse(row['events'] as string) as string[],
  }))
}
