// Webhook endpoints in SQLite.
import { decodeCursor, toPage } from '../cursor.ts'
import { offReason, type EndpointRecord, type EndpointState, type EndpointStore } from '../event-store.ts'
import type { SqliteDatabase } from './database.ts'
import { publish, publishOfGone } from './outbox.ts'

const deliveriesPerStep = 500

export function createEndpoints(db: SqliteDatabase): EndpointStore {
  const find = (id: string): EndpointRecord | null => {
    const row = db.sql('SELECT * FROM endpoints WHERE id = ?').get(id)
    return row ? toEndpoint(row) : null
  }

  return {
    create: (record) => db.write(() => insertEndpoint(db, record)),

    get: (id) => db.read(() => find(id)),

    list: ({ sessionId, limit, cursor }) =>
      db.read(() => {
        const [createdAt, id] = cursor ? decodeCursor(cursor, ['number', 'whk_']) : [Number.MAX_SAFE_INTEGER, '']
        const position = [createdAt, id, limit + 1] as const
        const order = '(created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?'
        const rows =
          sessionId === undefined
            ? db.sql(`SELECT * FROM endpoints WHERE ${order}`).all(...position)
            : db.sql(`SELECT * FROM endpoints WHERE session_id IS ? AND ${order}`).all(sessionId, ...position)
        return toPage(rows.map(toEndpoint), limit, (endpoint) => endpoint, positionOf)
      }),

    update: (id, changes, sealedSecret) =>
      db.write(() => {
        const endpoint = find(id)
        if (!endpoint || (sealedSecret && Buffer.compare(endpoint.sealedSecret, sealedSecret) !== 0)) return null
        const after = { ...endpoint, ...changes }
        saveEndpoint(db, after)
        return after
      }),

    reseal: (id, from, to) =>
      db.write(() => {
        const { changes } = db
          .sql(
            `UPDATE endpoints SET sealed_secret = ?, sealed_headers = ?, sealed_previous_secret = ?
             WHERE id = ? AND sealed_secret = ? AND sealed_headers IS ? AND sealed_previous_secret IS ?`,
          )
          .run(
            to.sealedSecret,
            to.sealedHeaders,
            to.sealedPreviousSecret,
            id,
            from.sealedSecret,
            from.sealedHeaders,
            from.sealedPreviousSecret,
          )
        return changes === 1
      }),

    disable: (id, { reason, at, sessionId }, describe) =>
      db.write(() => {
        const endpoint = find(id)
        if (!endpoint?.enabled) return null
        const after: EndpointRecord = { ...endpoint, enabled: false, disabledReason: reason, updatedAt: at }
        saveEndpoint(db, after)
        const drafts = describe(after)
        const published = publish(db, after.sessionId ?? sessionId, drafts)
        if (published.length > 0 || after.sessionId !== null) return { record: after, published }
        return { record: after, published: publishOfGone(db, sessionId, drafts) }
      }),

    countByState: () =>
      db.read(() => {
        const enabled = db.sql('SELECT count(*) AS count FROM endpoints WHERE enabled = 1').get()
        const reasons = db.sql(
          'SELECT disabled_reason AS reason, count(*) AS count FROM endpoints WHERE enabled = 0 GROUP BY disabled_reason',
        )
        const counts: Record<EndpointState, number> = { enabled: Number(enabled?.['count']), disabled: 0, off: 0 }
        for (const { reason, count } of reasons.all()) counts[reason === offReason ? 'off' : 'disabled'] += Number(count)
        return counts
      }),

    remove: async (id) => {
      const existed = await db.write(() => db.sql('DELETE FROM endpoints WHERE id = ?').run(id).changes === 1)
      // No new deliveries from here on; those left by a crash in between end by themselves and are swept.
      const removePage = () =>
        db
          .sql('DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries WHERE endpoint_id = ? LIMIT ?)')
          .run(id, deliveriesPerStep).changes === deliveriesPerStep
      while (await db.write(removePage));
      await db.write(() => {
        db.sql('DELETE FROM delivery_counts WHERE endpoint_id = ?').run(id)
        db.sql('DELETE FROM replays WHERE endpoint_id = ?').run(id)
      })
      return existed
    },
  }
}

function positionOf(endpoint: EndpointRecord): [number, string] {
  return [endpoint.createdAt, endpoint.id]
}

/** Must run inside `write`. */
export function insertEndpoint(db: SqliteDatabase, endpoint: EndpointRecord): void {
  db.sql(
    `INSERT INTO endpoints (url, events, sealed_headers, sealed_secret, sealed_previous_secret, previous_secret_until, enabled,
       disabled_reason, failing_since, failed_at, last_success_at, updated_at, id, session_id, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(...changeable(endpoint), endpoint.id, endpoint.sessionId, endpoint.createdAt)
}

function saveEndpoint(db: SqliteDatabase, endpoint: EndpointRecord): void {
  db.sql(
    `UPDATE endpoints SET url = ?, events = ?, sealed_headers = ?, sealed_secret = ?, sealed_previous_secret = ?,
       previous_secret_until = ?, enabled = ?, disabled_reason = ?, failing_since = ?, failed_at = ?, last_success_at = ?,
       updated_at = ?
     WHERE id = ?`,
  ).run(...changeable(endpoint), endpoint.id)
}

function changeable(endpoint: EndpointRecord): (string | number | Uint8Array | null)[] {
  return [
    endpoint.url,
    JSON.stringify(endpoint.events),
    endpoint.sealedHeaders,
    endpoint.sealedSecret,
    endpoint.sealedPreviousSecret,
    endpoint.previousSecretUntil,
    endpoint.enabled ? 1 : 0,
    endpoint.disabledReason,
    endpoint.failingSince,
    endpoint.failedAt,
    endpoint.lastSuccessAt,
    endpoint.updatedAt,
  ]
}

function toEndpoint(row: Record<string, unknown>): EndpointRecord {
  return {
    id: row['id'] as string,
    sessionId: row['session_id'] as string | null,
    url: row['url'] as string,
    events: JSON.parse(row['events'] as string) as string[],
    sealedHeaders: row['sealed_headers'] as Uint8Array | null,
    sealedSecret: row['sealed_secret'] as Uint8Array,
    sealedPreviousSecret: row['sealed_previous_secret'] as Uint8Array | null,
    previousSecretUntil: row['previous_secret_until'] as number | null,
    enabled: row['enabled'] === 1,
    disabledReason: row['disabled_reason'] as string | null,
    failingSince: row['failing_since'] as number | null,
    failedAt: row['failed_at'] as number | null,
    lastSuccessAt: row['last_success_at'] as number | null,
    createdAt: row['created_at'] as number,
    updatedAt: row['updated_at'] as number,
  }
}
