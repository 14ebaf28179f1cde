// Who a session has written to and heard from, in SQLite: what makes a contact new.
import { addressedTo, digitsOf, holdsEndedBy, isContact, isLid } from '../message-status.ts'
import type { ContactFacts, HeldBy, MessageRecord, NewContacts } from '../message-store.ts'
import type { SqliteDatabase } from './database.ts'

const pageSize = 500
/** All of a session, or as many as the limit says. */
export const removeContactsSql =
  'DELETE FROM contacts WHERE (session_id, recipient) IN (SELECT session_id, recipient FROM contacts WHERE session_id = ? LIMIT ?)'

/** Must run inside `write`. The first time counts; what waited because they were a stranger waits no longer. */
export function recordWrittenTo(db: SqliteDatabase, message: MessageRecord, at: number): void {
  if (!isContact(message.recipient)) return
  learnLid(db, message)
  const { sessionId, recipient } = underNumber(db, message)
  const { changes } = db
    .sql(
      `INSERT INTO contacts (session_id, recipient, first_outbound_at) VALUES (?, ?, ?)
       ON CONFLICT (session_id, recipient) DO UPDATE SET first_outbound_at = excluded.first_outbound_at
       WHERE first_outbound_at IS NULL`,
    )
    .run(sessionId, recipient, at)
  if (changes === 1) release(db, sessionId, recipient, message.updatedAt, ['new_contacts'])
}

/** Must run inside `write`. Nobody who wrote is a stranger any more. */
export function recordHeardFrom(db: SqliteDatabase, message: MessageRecord, at: number): void {
  if (!isContact(message.recipient)) return
  learnLid(db, message)
  const { sessionId, recipient } = underNumber(db, message)
  db.sql(
    `INSERT INTO contacts (session_id, recipient, first_inbound_at, last_inbound_at) VALUES (?, ?, ?, ?)
     ON CONFLICT (session_id, recipient) DO UPDATE SET first_inbound_at = coalesce(first_inbound_at, excluded.first_inbound_at),
       last_inbound_at = max(coalesce(last_inbound_at, 0), excluded.last_inbound_at)`,
  ).run(sessionId, recipient, at, at)
  release(db, sessionId, recipient, message.createdAt, ['new_contacts', 'restriction'])
}

/** Must run inside `read` or `write`. A message to a LID whose number is known goes to the number. */
export function underNumber(db: SqliteDatabase, message: MessageRecord): MessageRecord {
  const knownAs = findNumber(db, message.sessionId, message.recipient)
  return knownAs === null ? message : addressedTo(message, knownAs)
}

/** Must run inside `read` or `write`. The number's recipient; null unless it is a LID whose number is known. */
export function findNumber(db: SqliteDatabase, sessionId: string, recipient: string): string | null {
  if (!isLid(recipient)) return null
  const row = db.sql('SELECT known_as FROM contacts WHERE session_id = ? AND recipient = ?').get(sessionId, recipient)
  return (row?.['known_as'] as string | null | undefined) ?? null
}

/**
 * Number and LID are one person: what is known of both stands under the number from now on, and what waits for either stands in one line, where
 * nobody is a stranger who is none under the other.
 */
function learnLid(db: SqliteDatabase, { sessionId, recipient, address: { lid }, updatedAt }: MessageRecord): void {
  if (lid === null || isLid(recipient) || findNumber(db, sessionId, lid) === recipient) return
  const former = findContact(db, sessionId, lid)
  db.sql(
    `INSERT INTO contacts (session_id, recipient, known_as) VALUES (?, ?, ?)
     ON CONFLICT (session_id, recipient) DO UPDATE SET known_as = excluded.known_as,
       first_outbound_at = NULL, first_inbound_at = NULL, last_inbound_at = NULL`,
  ).run(sessionId, lid, recipient)
  if (former) {
    db.sql(
      `INSERT INTO contacts (session_id, recipient, first_outbound_at, first_inbound_at, last_inbound_at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (session_id, recipient) DO UPDATE SET
         first_outbound_at = min(coalesce(first_outbound_at, excluded.first_outbound_at), coalesce(excluded.first_outbound_at, first_outbound_at)),
         first_inbound_at = min(coalesce(first_inbound_at, excluded.first_inbound_at), coalesce(excluded.first_inbound_at, first_inbound_at)),
         last_inbound_at = max(coalesce(last_inbound_at, excluded.last_inbound_at), coalesce(excluded.last_inbound_at, last_inbound_at))`,
    ).run(sessionId, recipient, former.firstOutboundAt, former.firstInboundAt, former.lastInboundAt)
  }
  db.sql(
    `UPDATE messages SET recipient = ?, address = json_set(address, '$.phoneNumber', ?)
     WHERE session_id = ? AND recipient = ? AND status IN ('queued', 'scheduled')`,
  ).run(recipient, digitsOf(recipient), sessionId, lid)
  release(db, sessionId, recipient, updatedAt, holdsEndedBy(findContact(db, sessionId, recipient)))
}

/** By that index: left to itself SQLite reads all that the session holds back. */
function release(db: SqliteDatabase, sessionId: string, recipient: string, at: number, heldBy: readonly HeldBy[]): void {
  db.sql(
    `UPDATE messages INDEXED BY messages_held_chain SET held_until = ?
     WHERE session_id = ? AND lane IN (1, 2, 3) AND recipient = ? AND status = 'queued' AND held_until IS NOT NULL AND held_until > ?
     AND held_by IN (SELECT value FROM json_each(?))`,
  ).run(at, sessionId, recipient, at, JSON.stringify(heldBy))
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
