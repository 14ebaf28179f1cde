// API keys in SQLite.
import { decodeCursor, toPage } from '../cursor.ts'
import type { KeyRecord, KeyStore, Scope } from '../key-store.ts'
import type { SqliteDatabase } from './database.ts'

export function createKeys(db: SqliteDatabase): KeyStore {
  return {
    create: (record) => db.write(() => insertKey(db, record)),

    findByHash: (hash) =>
      db.read(() => {
        const row = db
          .sql(
            `SELECT api_keys.* FROM api_keys JOIN sessions ON sessions.id = api_keys.session_id
             WHERE api_keys.hash = ? AND sessions.deleted_at IS NULL`,
          )
          .get(hash)
        return row ? toKey(row) : null
      }),

    list: ({ sessionId, limit, cursor }) =>
      db.read(() => {
        const [createdAt, id] = cursor ? decodeCursor(cursor, ['number', 'key_']) : [Number.MAX_SAFE_INTEGER, '']
        const rows = db
          .sql(
            `SELECT * FROM api_keys WHERE session_id = ? AND (created_at, id) < (?, ?)
             ORDER BY created_at DESC, id DESC LIMIT ?`,
          )
          .all(sessionId, createdAt, id, limit + 1)
          .map(toKey)
        return toPage(
          rows,
          limit,
          (key) => key,
          (key) => [key.createdAt, key.id],
        )
      }),

    rotate: (sessionId, id, next) =>
      db.write(() => {
        const row = db
          .sql('UPDATE api_keys SET hash = ?, prefix = ? WHERE id = ? AND session_id = ? RETURNING *')
          .get(next.hash, next.prefix, id, sessionId)
        return row ? toKey(row) : null
      }),

    remove: (sessionId, id) =>
      db.write(() => db.sql('DELETE FROM api_keys WHERE id = ? AND session_id = ?').run(id, sessionId).changes === 1),
  }
}

/** Must run inside `write`. */
export function insertKey(db: SqliteDatabase, key: KeyRecord): void {
  db.sql('INSERT INTO api_keys (id, session_id, hash, prefix, scopes, expires_at, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)').run(
    key.id,
    key.sessionId,
    key.hash,
    key.prefix,
    JSON.stringify(key.scopes),
    key.expiresAt,
    key.createdAt,
  )
}

function toKey(row: Record<string, unknown>): KeyRecord {
  return {
    id: row['id'] as string,
    sessionId: row['session_id'] as string,
    hash: row['hash'] as string,
    prefix: row['prefix'] as string,
    scopes: JSON.parse(row['scopes'] as string) as Scope[],
    expiresAt: row['expires_at'] as number | null,
    createdAt: row['created_at'] as number,
  }
}
