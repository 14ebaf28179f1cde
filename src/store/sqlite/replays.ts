// Replays in SQLite.
import { badCursor, decodeCursor, toPage } from '../cursor.ts'
import type { ReplayRecord, ReplayStatus, ReplayStore } from '../replay-store.ts'
import type { SqliteDatabase } from './database.ts'
import { findDelivery } from './deliveries.ts'
import { insertDelivery } from './outbox.ts'
import { rowNumber } from './row-number.ts'

export function createReplays(db: SqliteDatabase): ReplayStore {
  const find = (id: string): ReplayRecord | null => {
    const row = db.sql('SELECT * FROM replays WHERE id = ?').get(id)
    return row ? toReplay(row) : null
  }

  return {
    create: (replay) =>
      db.write(() => {
        const { changes } = db
          .sql(
            `INSERT INTO replays (id, endpoint_id, session_id, since, until, types, status, place, delivery_count, created_at, updated_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
          )
          .run(
            replay.id,
            replay.endpointId,
            replay.sessionId,
            replay.since,
            replay.until,
            JSON.stringify(replay.types),
            replay.status,
            replay.place,
            replay.deliveryCount,
            replay.createdAt,
            replay.updatedAt,
          )
        return changes === 1
      }),

    list: ({ endpointId, limit, cursor }) =>
      db.read(() => {
        const [before] = cursor ? decodeCursor(cursor, ['rpl_']) : [null]
        const n = before === null ? Number.MAX_SAFE_INTEGER : rowNumber(db, 'replays', before)
        if (n === undefined) throw badCursor()
        const rows = db
          .sql('SELECT * FROM replays WHERE endpoint_id = ? AND n < ? ORDER BY n DESC LIMIT ?')
          .all(endpointId, n, limit + 1)
        return toPage(rows, limit, toReplay, (row) => [row['id'] as string])
      }),

    listRunning: ({ after = '', limit }) =>
      db.read(() =>
        db
          .sql(`SELECT * FROM replays WHERE status = 'running' AND n > ? ORDER BY n LIMIT ?`)
          .all(rowNumber(db, 'replays', after) ?? 0, limit)
          .map(toReplay),
      ),

    advance: (replay, next, deliveries) =>
      db.write(() => {
        const { changes } = db
          .sql(
            `UPDATE replays SET place = ?, status = ?, delivery_count = delivery_count + ?, updated_at = ?
             WHERE id = ? AND status = 'running' AND place IS ?`,
          )
          .run(next.place, next.status, deliveries.length, next.at, replay.id, replay.place)
        if (changes === 0) return null
        return deliveries.flatMap((delivery) => findDelivery(db, insertDelivery(db, delivery, next.at, replay.id)) ?? [])
      }),

    stop: (endpointId, id, at) =>
      db.write(() => {
        db.sql(
          `UPDATE replays SET status = 'stopped', updated_at = ? WHERE id = ? AND endpoint_id = ? AND status = 'running'`,
        ).run(at, id, endpointId)
        const replay = find(id)
        return replay?.endpointId === endpointId ? replay : null
      }),

    countWaiting: (id) =>
      db.read(() =>
        Number(db.sql(`SELECT count(*) AS count FROM deliveries WHERE replay_id = ? AND status = 'pending'`).get(id)?.['count']),
      ),
  }
}

function toReplay(row: Record<string, unknown>): ReplayRecord {
  return {
    id: row['id'] as string,
    endpointId: row['endpoint_id'] as string,
    sessionId: row['session_id'] as string | null,
    since: row['since'] as number,
    until: row['until'] as number,
    types: JSON.parse(row['types'] as string) as string[],
    status: row['status'] as ReplayStatus,
    place: row['place'] as string | null,
    deliveryCount: row['delivery_count'] as number,
    createdAt: row['created_at'] as number,
    updatedAt: row['updated_at'] as number,
  }
}
