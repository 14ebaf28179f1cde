// Messages in SQLite.
import type { Describe, Outcome } from '../event-store.ts'
import { advanced } from '../message-status.ts'
import type { MessagePlace, MessageRecord, MessageStore, StatusChange } from '../message-store.ts'
import { acceptMessage, findByWhatsappId, storeInbound } from './accept-message.ts'
import { forgetContacts, newContacts } from './contacts.ts'
import type { SqliteDatabase } from './database.ts'
import {
  listById,
  listDeepestQueues,
  listMessages,
  listScheduled,
  listSessionsWithStale,
  listUnfinished,
  positionOf,
  queueState,
} from './list-messages.ts'
import { findMessage, saveChange, toMessage } from './message-row.ts'
import { listHeld, listQueue, pacingFacts } from './queued-messages.ts'
import { requireEpoch } from './session-row.ts'
import { takeMessage } from './take-message.ts'

export function createMessages(db: SqliteDatabase): MessageStore {
  return {
    accept: (input, describe) => db.write(() => acceptMessage(db, input, describe)),

    take: (input, describe) => db.write(() => takeMessage(db, input, describe)),

    advance: (sessionId, id, change, describe) =>
      db.write(() => {
        const message = findMessage(db, sessionId, id)
        const after = message && advanced(message, change)
        return after && saveChange(db, message, after, describe)
      }),

    advanceByWhatsappId: (sessionId, whatsappIds, change, describe) =>
      db.write(() =>
        [...new Set(whatsappIds)].flatMap((whatsappId) => {
          const row = db
            .sql(`SELECT * FROM messages WHERE session_id = ? AND whatsapp_id = ? AND direction = 'outbound'`)
            .get(sessionId, whatsappId)
          const message = row && toMessage(row)
          const after = message && advanced(message, change)
          return after ? [saveChange(db, message, after, describe)] : []
        }),
      ),

    hold: ({ sessionId, id, epoch, heldBy, heldUntil }) =>
      db.write(() => {
        requireEpoch(db, sessionId, epoch)
        const { changes } = db
          .sql(
            `UPDATE messages SET held_by = ?, held_until = ?, updated_at = ? WHERE id = ? AND session_id = ? AND status = 'queued'`,
          )
          .run(heldBy, heldUntil, Date.now(), id, sessionId)
        return changes === 1
      }),

    releaseHeld: ({ sessionId, epoch, at }) =>
      db.write(() => {
        requireEpoch(db, sessionId, epoch)
        const release = db.sql(
          `UPDATE messages SET held_until = ? WHERE session_id = ? AND status = 'queued' AND held_until IS NOT NULL AND held_until > ?`,
        )
        return Number(release.run(at, sessionId, at).changes)
      }),

    pacingFacts: (sessionId, id) => db.read(() => pacingFacts(db, sessionId, id)),
    listHeld: (sessionId, after, limit) => db.read(() => listHeld(db, sessionId, after, limit)),
    newContacts: (sessionId, since, now) => db.read(() => newContacts(db, sessionId, since, now)),
    forgetContacts: (sessionId, epoch) => forgetContacts(db, sessionId, () => requireEpoch(db, sessionId, epoch)),
    listQueue: (sessionId, limit) => db.read(() => listQueue(db, sessionId, limit)),

    cancel: (sessionId, id, at, describe) =>
      db.write(() => {
        const message = findMessage(db, sessionId, id)
        if (!message) return null
        const after = advanced(message, { to: 'canceled', at })
        return after ? saveChange(db, message, after, describe) : 'too_late'
      }),

    listDue: (now, limit) =>
      db.read(() =>
        db
          .sql(
            `SELECT id, session_id FROM messages
             WHERE status = 'scheduled' AND send_at <= ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY send_at, n LIMIT ?`,
          )
          .all(now, now, limit)
          .map(toPlace),
      ),

    listExpired: (now, limit) =>
      db.read(() =>
        db
          .sql(
            `SELECT id, session_id FROM messages WHERE expires_at IS NOT NULL AND expires_at <= ? AND status IN ('queued', 'scheduled')
             ORDER BY expires_at LIMIT ?`,
          )
          .all(now, limit)
          .map(toPlace),
      ),

    promote: (sessionId, ids, at, describe) =>
      db.write(() =>
        advanceEach(db, sessionId, ids, { to: 'queued', at }, describe, (after) => ({
          ...after,
          sequence: nextSequence(db, sessionId),
        })),
      ),

    expire: (sessionId, ids, at, describe) => db.write(() => advanceEach(db, sessionId, ids, { to: 'expired', at }, describe)),

    failUnfinished: ({ sessionId, epoch, error, at, limit }, describe) =>
      db.write(() => {
        requireEpoch(db, sessionId, epoch)
        const scheduled = db
          .sql(`SELECT id FROM messages WHERE session_id = ? AND status = 'scheduled' ORDER BY created_at LIMIT ?`)
          .all(sessionId, limit)
        const unfinished = db
          .sql(`SELECT id FROM messages WHERE session_id = ? AND status IN ('queued', 'sending') ORDER BY lane, sequence LIMIT ?`)
          .all(sessionId, limit - scheduled.length)
        const found = [...scheduled, ...unfinished].map(({ id }) => String(id))
        const failed = advanceEach(db, sessionId, found, { to: 'failed', at, error }, describe)
        return { failed, isEmpty: found.length === 0 }
      }),

    listUnfinished: (sessionId, query) => db.read(() => listUnfinished(db, sessionId, query)),
    listSessionsWithStale: (before, limit, afterSessionId = '') =>
      db.read(() => listSessionsWithStale(db, before, limit, afterSessionId)),
    listDeepestQueues: (limit) => db.read(() => listDeepestQueues(db, limit)),
    storeInbound: (message, describe) => db.write(() => storeInbound(db, message, describe)),
    get: (sessionId, id) => db.read(() => findMessage(db, sessionId, id)),
    findByWhatsappId: (sessionId, whatsappId) => db.read(() => findByWhatsappId(db, sessionId, whatsappId)),
    list: (query) => db.read(() => listMessages(db, query)),
    listById: (sessionId, ids) => db.read(() => listById(db, sessionId, ids)),
    listScheduled: (sessionId, limit) => db.read(() => listScheduled(db, sessionId, limit)),
    queueState: (sessionId) => db.read(() => queueState(db, sessionId)),
    position: (sessionId, id) => db.read(() => positionOf(db, sessionId, id)),
  }
}

/** Those for which it is a step forward. Must run inside `write`. */
function advanceEach(
  db: SqliteDatabase,
  sessionId: string,
  ids: readonly string[],
  change: StatusChange,
  describe: Describe<MessageRecord>,
  more: (after: MessageRecord) => MessageRecord = (after) => after,
): Outcome<MessageRecord>[] {
  return ids.flatMap((id) => {
    const message = findMessage(db, sessionId, id)
    const after = message && advanced(message, change)
    return after ? [saveChange(db, message, more(after), describe)] : []
  })
}

function toPlace(row: Record<string, unknown>): MessagePlace {
  return { id: String(row['id']), sessionId: String(row['session_id']) }
}

function nextSequence(db: SqliteDatabase, sessionId: string): MessageRecord['sequence'] {
  const row = db
    .sql('UPDATE session_counters SET message_sequence = message_sequence + 1 WHERE session_id = ? RETURNING message_sequence')
    .get(sessionId)
  return row ? (row['message_sequence'] as number) : null
}
