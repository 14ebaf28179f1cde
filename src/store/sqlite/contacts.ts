// Who a session has written to and heard from, in SQLite: what makes a contact new.
import { isContact } from '../message-status.ts'
import type { ContactFacts, MessageRecord, NewContacts } from '../message-store.ts'
import type { SqliteDatabase } from './database.ts'

const pageSize = 500
/** All of a session, or as many as the limit says. */
export const removeContactsSql =
  'DELETE FROM contacts WHERE (session_id, recipient) IN (SELECT session_id, recipient FROM contacts WHERE session_id = ? LIMIT ?)'

/** Must run inside `write`. The first time counts. */
export function recordWrittenTo(db: SqliteDatabase, { sessionId, recipient }: MessageRecord, at: number): void {
  if (!isContact(recipient)) return
  db.sql(
    `INSERT INTO contacts (session_id, recipient, first_outbound_at) VALUES (?, ?, ?)
     ON CONFLICT (session_id, recipient) DO UPDATE SET first_outbound_at = excluded.first_outbound_at
     WHERE first_outbound_at IS NULL`,
  ).run(sessionId, recipient, at)
}

/** Must run inside `write`. Under both addresses where both are known, so that it is one contact however it is written to. */
export function recordHeardFrom(db: SqliteDatabase, { sessionId, recipient, address }: MessageRecord, at: number): void {
  if (!isContact(recipient)) return
  for (const each of new Set(address.lid === null ? [recipient] : [recipient, address.lid])) {
    db.sql(
      `INSERT INTO contacts (session_id, recipient, first_inbound_at, last_inbound_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (session_id, recipient) DO UPDATE SET first_inbound_at = coalesce(first_inbound_at, excluded.first_inbound_at),
         last_inbound_at = max(coalesce(last_inbound_at, 0), excluded.last_inbound_at)`,
    ).run(sessionId, each, at, at)
  }
}

/** Must run inside `write`. What waited because they were a stranger waits no longer. */
export function releaseAnswered(db: SqliteDatabase, { sessionId, recipient, address }: MessageRecord, at: number): void {
  for (const each of new Set(address.lid === null ? [recipient] : [recipient, address.lid])) {
    db.sql(
      `UPDATE messages SET held_until = ? WHERE session_id = ? AND lane IN (1, 2, 3) AND recipient = ? AND status = 'queued'
       AND held_until IS NOT NULL AND held_until > ? AND held_by IN ('new_contacts', 'restriction')`,
    ).run(at, sessionId, each, at)
  }
}

/** Must run inside `read`. */
export function findContact(db: SqliteDatabase, sessionId: string, recipient: string): ContactFacts | null {
  const row = db
    .sql(
      `SELECT first_outbound_at AS firstOutboundAt, first_inbound_at AS firstInboundAt, last_inbound_at AS lastInboundAt
       FROM contacts WHERE session_id = ? AND recipient = ?`,
    )
    .get(sessionId, recipient)
  return row ? ({ ...row } as unknown as ContactFacts) : null
}

/** Must run inside `read`. */
export function newContacts(db: SqliteDatabase, sessionId: string, since: number, now: number): NewContacts {
  const today = db
    .sql(
      `SELECT count(*) AS count FROM contacts WHERE session_id = ? AND first_outbound_at IS NOT NULL AND first_outbound_at >= ?
       AND (first_inbound_at IS NULL OR first_inbound_at > first_outbound_at)`,
    )
    .get(sessionId, since)
  const first = db
    .sql('SELECT min(first_outbound_at) AS at FROM contacts WHERE session_id = ? AND first_outbound_at IS NOT NULL')
    .get(sessionId)
  const held = db
    .sql(
      `SELECT held_until AS heldUntil, count(*) AS count FROM messages WHERE session_id = ? AND status = 'queued'
       AND held_until IS NOT NULL AND held_until > ? AND held_by = 'new_contacts' GROUP BY held_until`,
    )
    .all(sessionId, now)
  return {
    count: Number(today?.['count'] ?? 0),
    firstAt: (first?.['at'] as number | null | undefined) ?? null,
    held: held.map((row) => ({ heldUntil: row['heldUntil'] as number, count: row['count'] as number })),
  }
}

/** A page at a time, so that others write in between. */
export async function forgetContacts(db: SqliteDatabase, sessionId: string, requireHeld: () => void): Promise<void> {
  const removePage = () => {
    requireHeld()
    return Number(db.sql(removeContactsSql).run(sessionId, pageSize).changes)
  }
  while ((await db.write(removePage)) === pageSize);
}
