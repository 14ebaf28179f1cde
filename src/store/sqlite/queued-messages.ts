// What pacing and forecasts ask of the queue: facts on one message, what is held back, and all that waits.
import type { HeldBy, PacingFacts, QueuedMessage, UnfinishedMessage } from '../message-store.ts'
import { findContact } from './contacts.ts'
import type { SqliteDatabase } from './database.ts'
import { laneOf } from './message-row.ts'

/** Must run inside `read`. */
export function pacingFacts(db: SqliteDatabase, sessionId: string, id: string): PacingFacts | null {
  const row = db
    .sql('SELECT status, recipient, lane, sequence, expires_at, held_until FROM messages WHERE id = ? AND session_id = ?')
    .get(id, sessionId)
  if (!row) return null
  const lane = row['lane'] as number
  const recipient = row['recipient'] as string
  const before = db
    .sql(
      `SELECT held_by, held_until FROM messages WHERE session_id = ? AND lane = ? AND recipient = ? AND sequence < ?
       AND status = 'queued' AND held_until IS NOT NULL ORDER BY sequence DESC LIMIT 1`,
    )
    .get(sessionId, lane, recipient, row['sequence'] as number | null)
  return {
    status: row['status'] as PacingFacts['status'],
    recipient,
    priority: laneOf(lane),
    expiresAt: row['expires_at'] as number | null,
    heldUntil: row['held_until'] as number | null,
    heldBefore: before ? { heldBy: before['held_by'] as HeldBy, heldUntil: before['held_until'] as number } : null,
    contact: findContact(db, sessionId, recipient),
  }
}

/** Must run inside `read`. */
export function listHeld(db: SqliteDatabase, sessionId: string, after: number, limit: number): UnfinishedMessage[] {
  return db
    .sql(
      `SELECT id, sequence, lane, status, recipient, held_until FROM messages WHERE session_id = ? AND status = 'queued'
       AND held_until IS NOT NULL AND held_until > ? ORDER BY held_until LIMIT ?`,
    )
    .all(sessionId, after, limit)
    .map(toUnfinished)
}

/** Must run inside `read`. */
export function listQueue(db: SqliteDatabase, sessionId: string, limit: number): QueuedMessage[] {
  const rows: QueuedMessage[] = []
  for (const lane of [1, 2, 3]) {
    const found = db
      .sql(
        `SELECT id, sequence, lane, status, m.recipient AS recipient, held_until, held_by,
           m.recipient NOT LIKE '%@g.us' AND c.first_outbound_at IS NULL AND c.first_inbound_at IS NULL AS is_new,
           m.recipient NOT LIKE '%@g.us' AND c.first_inbound_at IS NULL AS is_unheard
         FROM messages m LEFT JOIN contacts c ON c.session_id = m.session_id AND c.recipient = m.recipient
         WHERE m.session_id = ? AND lane = ? AND status IN ('queued', 'sending') ORDER BY sequence LIMIT ?`,
      )
      .all(sessionId, lane, limit - rows.length)
    for (const row of found) {
      const isNewContact = row['is_new'] === 1
      const isUnheard = row['is_unheard'] === 1
      rows.push({ ...toUnfinished(row), heldBy: row['held_by'] as HeldBy | null, isNewContact, isUnheard })
    }
    if (rows.length >= limit) break
  }
  return rows
}

export function toUnfinished(row: Record<string, unknown>): UnfinishedMessage {
  return {
    id: row['id'] as string,
    sequence: row['sequence'] as number,
    priority: laneOf(row['lane'] as number),
    status: row['status'] as UnfinishedMessage['status'],
    recipient: row['recipient'] as string,
    heldUntil: row['held_until'] as number | null,
  }
}
