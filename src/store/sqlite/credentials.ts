// Sealed WhatsApp credentials in SQLite, every write fenced by the session's epoch in its own transaction.
import { AppError } from '../../platform/errors.ts'
import type { CredentialStore, WrappedDataKey } from '../credential-store.ts'
import { staleEpoch } from '../fenced-writes.ts'
import type { SqliteDatabase } from './database.ts'
import { requireEpoch } from './session-row.ts'

export function createCredentials(db: SqliteDatabase): CredentialStore {
  const readDataKey = (sessionId: string): WrappedDataKey | null => {
    const row = db.sql('SELECT * FROM data_keys WHERE session_id = ?').get(sessionId)
    return row ? toDataKey(row) : null
  }

  return {
    readDataKey: (sessionId) => db.read(() => readDataKey(sessionId)),

    read: (sessionId, type, ids) =>
      db.read(() => {
        const statement = db.sql('SELECT value FROM credentials WHERE session_id = ? AND type = ? AND id = ?')
        const found = new Map<string, Uint8Array>()
        for (const id of ids) {
          const row = statement.get(sessionId, type, id)
          if (row) found.set(id, row['value'] as Uint8Array)
        }
        return found
      }),

    write: (sessionId, epoch, entries, dataKey) =>
      db.write(() => {
        const session = db
          .sql(
            `SELECT s.epoch, k.master_key_id, k.wrapped FROM sessions s LEFT JOIN data_keys k ON k.session_id = s.id
             WHERE s.id = ?`,
          )
          .get(sessionId)
        if (session?.['epoch'] !== epoch) throw staleEpoch()
        if (dataKey) {
          const present = session['wrapped'] === null ? null : toDataKey(session)
          if (present && !sameKey(present, dataKey)) throw new AppError('conflict', 'The session has another data key already.')
          if (!present) {
            db.sql('INSERT INTO data_keys (session_id, master_key_id, wrapped) VALUES (?, ?, ?)').run(
              sessionId,
              dataKey.masterKeyId,
              dataKey.wrapped,
            )
          }
        }
        const put = db.sql(
          `INSERT INTO credentials (session_id, type, id, value) VALUES (?, ?, ?, ?)
           ON CONFLICT (session_id, type, id) DO UPDATE SET value = excluded.value`,
        )
        const drop = db.sql('DELETE FROM credentials WHERE session_id = ? AND type = ? AND id = ?')
        for (const { type, id, value } of entries) {
          if (value) put.run(sessionId, type, id, value)
          else drop.run(sessionId, type, id)
        }
      }),

    erase: (sessionId, epoch) =>
      db.write(() => {
        requireEpoch(db, sessionId, epoch)
        eraseCredentials(db, sessionId)
      }),

    listWrappedByOthers: (masterKeyId, limit, afterSessionId = '') =>
      db.read(() =>
        db
          .sql('SELECT * FROM data_keys WHERE session_id > ? AND master_key_id <> ? ORDER BY session_id LIMIT ?')
          .all(afterSessionId, masterKeyId, limit)
          .map((row) => ({ sessionId: row['session_id'] as string, dataKey: toDataKey(row) })),
      ),

    rewrap: (sessionId, oldMasterKeyId, next) =>
      db.write(
        () =>
          db
            .sql('UPDATE data_keys SET master_key_id = ?, wrapped = ? WHERE session_id = ? AND master_key_id = ?')
            .run(next.masterKeyId, next.wrapped, sessionId, oldMasterKeyId).changes === 1,
      ),
  }
}

/** Within a write that has passed the fence. */
export function eraseCredentials(db: SqliteDatabase, sessionId: string): void {
  db.sql('DELETE FROM credentials WHERE session_id = ?').run(sessionId)
  db.sql('DELETE FROM data_keys WHERE session_id = ?').run(sessionId)
}

function toDataKey(row: Record<string, unknown>): WrappedDataKey {
  return { masterKeyId: row['master_key_id'] as string, wrapped: row['wrapped'] as Uint8Array }
}

function sameKey(a: WrappedDataKey, b: WrappedDataKey): boolean {
  return a.masterKeyId === b.masterKeyId && Buffer.compare(a.wrapped, b.wrapped) === 0
}
