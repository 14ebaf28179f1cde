// Webhook deliveries in SQLite.
import { badCursor, decodeCursor, toPage } from '../cursor.ts'
import {
  attemptsKept,
  type DeliveryAttempt,
  type DeliveryRecord,
  type DeliveryStatus,
  type DeliveryStore,
  type EventType,
} from '../event-store.ts'
import type { SqliteDatabase } from './database.ts'
import { insertDelivery } from './outbox.ts'
import { rowNumber } from './row-number.ts'

export function createDeliveries(db: SqliteDatabase): DeliveryStore {
  const find = (id: string) => findDelivery(db, id)

  return {
    get: (id) => db.read(() => find(id)),

    list: ({ endpointId, status, limit, cursor }) =>
      db.read(() => {
        const [before] = cursor ? decodeCursor(cursor, ['string']) : [null]
        const n = before === null ? Number.MAX_SAFE_INTEGER : rowNumber(db, 'deliveries', before)
        if (n === undefined) throw badCursor()
        const rows = status
          ? db
              .sql('SELECT * FROM deliveries WHERE endpoint_id = ? AND status = ? AND n < ? ORDER BY n DESC LIMIT ?')
              .all(endpointId, status, n, limit + 1)
          : db
              .sql('SELECT * FROM deliveries WHERE endpoint_id = ? AND n < ? ORDER BY n DESC LIMIT ?')
              .all(endpointId, n, limit + 1)
        return toPage(rows, limit, toDelivery, (row) => [row['id'] as string])
      }),

    recordAttempts: (records) =>
      db.write(() => {
        const noted = db.sql(
          `UPDATE deliveries SET attempt_count = attempt_count + 1, updated_at = max(updated_at, ?),
             attempts = json_insert(iif(json_array_length(attempts) < ${attemptsKept}, attempts, json_remove(attempts, '$[0]')),
               '$[#]', json(?))
           WHERE id = ? AND NOT EXISTS (
             SELECT 1 FROM json_each(attempts) WHERE value ->> 'at' = ? AND value ->> 'durationMs' = ?)`,
        )
        const followed = db.sql(
          `UPDATE deliveries SET status = ?, next_attempt_at = ?, dead_reason = ? WHERE id = ? AND status IN ('pending', 'failed')`,
        )
        for (const { deliveryId, attempt, next } of records) {
          const { at, durationMs } = attempt
          if (noted.run(at, JSON.stringify(attempt), deliveryId, at, durationMs).changes === 0) continue
          followed.run(next.status, next.nextAttemptAt, next.status === 'dead' ? (next.deadReason ?? null) : null, deliveryId)
        }
      }),

    bury: (ids, deadReason, at) =>
      db.write(() => {
        const statement = db.sql(
          `UPDATE deliveries SET status = 'dead', dead_reason = ?, next_attempt_at = NULL, updated_at = ?
           WHERE id = ? AND status IN ('pending', 'failed')`,
        )
        for (const id of ids) statement.run(deadReason, at, id)
      }),

    listDueEndpoints: ({ now, after = '', limit }) =>
      db.read(() => {
        // The first of each endpoint, one after the other: however many wait, an endpoint costs one step into the index.
        const next = db.sql(
          `SELECT endpoint_id, next_attempt_at FROM deliveries WHERE status IN ('pending', 'failed') AND endpoint_id > ?
           ORDER BY endpoint_id, next_attempt_at LIMIT 1`,
        )
        const found: string[] = []
        for (let row = next.get(after); row && found.length < limit; row = next.get(row['endpoint_id'] as string)) {
          if ((row['next_attempt_at'] as number) <= now) found.push(row['endpoint_id'] as string)
        }
        return found
      }),

    listDue: (endpointId, now, limit) =>
      db.read(() =>
        db
          .sql(
            `SELECT * FROM deliveries WHERE endpoint_id = ? AND status IN ('pending', 'failed') AND next_attempt_at <= ?
             ORDER BY next_attempt_at, n LIMIT ?`,
          )
          .all(endpointId, now, limit)
          .map(toDelivery),
      ),

    postpone: (postponements) =>
      db.write(() => {
        const statement = db.sql(
          `UPDATE deliveries SET next_attempt_at = ? WHERE id = ? AND status IN ('pending', 'failed') AND attempt_count = ?`,
        )
        for (const { deliveryId, attemptCount, nextAttemptAt } of postponements) {
          statement.run(nextAttemptAt, deliveryId, attemptCount)
        }
      }),

    create: (records) =>
      db.write(() => {
        const at = Date.now()
        return records.flatMap((record) => find(insertDelivery(db, record, at)) ?? [])
      }),

    countByStatus: (endpointId) =>
      db.read(() => {
        const counts: Record<DeliveryStatus, number> = { pending: 0, succeeded: 0, failed: 0, dead: 0 }
        const rows = endpointId
          ? db.sql('SELECT status, count FROM delivery_counts WHERE endpoint_id = ?').all(endpointId)
          : db.sql('SELECT status, sum(count) AS count FROM delivery_counts GROUP BY status').all()
        for (const row of rows) counts[row['status'] as DeliveryStatus] = row['count'] as number
        return counts
      }),
  }
}

/** Must run inside `read` or `write`. */
export function findDelivery(db: SqliteDatabase, id: string): DeliveryRecord | null {
  const row = db.sql('SELECT * FROM deliveries WHERE id = ?').get(id)
  return row ? toDelivery(row) : null
}

function toDelivery(row: Record<string, unknown>): DeliveryRecord {
  return {
    id: row['id'] as string,
    eventId: row['event_id'] as string,
    endpointId: row['endpoint_id'] as string,
    sessionId: row['session_id'] as string,
    eventType: row['event_type'] as EventType,
    replayId: row['replay_id'] as string | null,
    status: row['status'] as DeliveryStatus,
    attemptCount: row['attempt_count'] as number,
    nextAttemptAt: row['next_attempt_at'] as number | null,
    deadReason: row['dead_reason'] as string | null,
    attempts: JSON.parse(row['attempts'] as string) as DeliveryAttempt[],
    createdAt: row['created_at'] as number,
    updatedAt: row['updated_at'] as number,
  }
}
