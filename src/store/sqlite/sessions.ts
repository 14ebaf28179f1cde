// Sessions in SQLite.
import { decodeCursor, toPage } from '../cursor.ts'
import { staleEpoch } from '../fenced-writes.ts'
import type { Describe, Outcome } from '../event-store.ts'
import {
  sessionStatuses,
  type HolderChanges,
  type SessionRecord,
  type SessionStatus,
  type SessionStore,
} from '../session-store.ts'
import { eraseCredentials } from './credentials.ts'
import type { SqliteDatabase } from './database.ts'
import { insertEndpoint } from './endpoints.ts'
import { insertKey } from './keys.ts'
import { publish } from './outbox.ts'
import { removeSession } from './remove-session.ts'
import { findSession, insertSession, requireEpoch, saveSession, toSession } from './session-row.ts'

export function createSessions(db: SqliteDatabase): SessionStore {
  const save = (after: SessionRecord, describe: Describe<SessionRecord>): Outcome<SessionRecord> => {
    saveSession(db, after)
    return { record: after, published: publish(db, after.id, describe(after)) }
  }
  const held = (id: string, epoch: number): SessionRecord => {
    const session = findSession(db, id)
    if (session?.epoch !== epoch) throw staleEpoch()
    return session
  }

  return {
    create: ({ session, key, endpoint }, describe) =>
      db.write(() => {
        insertSession(db, session)
        db.sql('INSERT INTO session_counters (session_id) VALUES (?)').run(session.id)
        insertKey(db, key)
        if (endpoint) insertEndpoint(db, endpoint)
        return { record: session, published: publish(db, session.id, describe(session)) }
      }),

    get: (id) => db.read(() => findSession(db, id)),

    list: (query) => db.read(() => listSessions(db, query)),

    edit: (id, changes) =>
      db.write(() => {
        const session = findSession(db, id)
        if (!session || session.deletedAt !== null) return null
        const settings = { ...session.settings, ...changes.settings }
        const after = { ...session, ...changes, settings, updatedAt: Date.now() }
        saveSession(db, after)
        return after
      }),

    request: (id, intent, at) =>
      db.write(() => {
        const session = findSession(db, id)
        if (!session || session.deletedAt !== null) return null
        const after: SessionRecord = {
          ...session,
          intent,
          intentRevision: session.intentRevision + 1,
          claimable: true,
          updatedAt: at,
          deletedAt: intent === 'delete' ? at : null,
        }
        saveSession(db, after)
        if (intent === 'delete') db.sql('DELETE FROM api_keys WHERE session_id = ?').run(id)
        return after
      }),

    listClaimable: ({ afterId = '', limit }) =>
      db.read(() =>
        db
          .sql(
            `SELECT id, epoch, intent, status, last_event_at AS lastEventAt FROM sessions
             WHERE claimable = 1 AND id > ? ORDER BY id LIMIT ?`,
          )
          .all(afterId, limit)
          .map((row) => ({ ...row }) as unknown as SessionRecord),
      ),

    countByStatus: () =>
      db.read(() => {
        const counts = Object.fromEntries(sessionStatuses.map((status) => [status, 0])) as Record<SessionStatus, number>
        const rows = db.sql('SELECT status, count(*) AS count FROM sessions WHERE deleted_at IS NULL GROUP BY status').all()
        for (const row of rows) counts[row['status'] as SessionStatus] = row['count'] as number
        return counts
      }),

    raiseEpoch: (id, epoch, from) =>
      db.write(() => {
        const raise = db.sql('UPDATE sessions SET epoch = ? WHERE id = ? AND epoch < ? AND epoch = coalesce(?, epoch)')
        return raise.run(epoch, id, epoch, from ?? null).changes === 1
      }),

    update: (id, epoch, changes, describe) => db.write(() => save(changed(held(id, epoch), changes), describe)),

    settle: (id, epoch, intentRevision, changes, describe) =>
      db.write(() => {
        const session = held(id, epoch)
        if (session.intentRevision !== intentRevision) return null
        if (changes.status === 'logged_out') eraseCredentials(db, id)
        return save({ ...changed(session, changes), claimable: false }, describe)
      }),

    remove: (id, epoch) => removeSession(db, id, () => requireEpoch(db, id, epoch)),

    listSealedProxies: ({ afterId, limit }) =>
      db.read(() =>
        db
          .sql(
            `SELECT id, settings ->> '$.sealedProxyUrl' AS sealedProxyUrl FROM sessions
             WHERE id > ? AND sealedProxyUrl IS NOT NULL ORDER BY id LIMIT ?`,
          )
          .all(afterId, limit)
          .map((row) => ({ ...row }) as { id: string; sealedProxyUrl: string }),
      ),

    resealProxy: (id, from, to) =>
      db.write(() => {
        const reseal = db.sql(
          `UPDATE sessions SET settings = json_set(settings, '$.sealedProxyUrl', ?)
           WHERE id = ? AND settings ->> '$.sealedProxyUrl' = ?`,
        )
        return reseal.run(to, id, from).changes === 1
      }),

    setHealth: (id, health, describe) =>
      db.write(() => {
        const session = findSession(db, id)
        if (!session || session.deletedAt !== null) return null
        return save({ ...session, health }, describe)
      }),
  }
}

function changed(session: SessionRecord, changes: HolderChanges): SessionRecord {
  return { ...session, ...changes, updatedAt: Date.now() }
}

function listSessions(db: SqliteDatabase, query: Parameters<SessionStore['list']>[0]) {
  const { limit, cursor, status, search } = query
  const [createdAt, id] = cursor ? decodeCursor(cursor, ['number', 'ses_']) : [Number.MAX_SAFE_INTEGER, '']
  const conditions = ['deleted_at IS NULL', '(created_at, id) < (?, ?)']
  const values: (string | number)[] = [createdAt, id]
  if (status) {
    conditions.push('status = ?')
    values.push(status)
  }
  if (search) {
    const pattern = `%${search.replace(/[\\%_]/g, '\\$&')}%`
    conditions.push(`(display_name LIKE ? ESCAPE '\\' OR phone_number LIKE ? ESCAPE '\\' OR id = ?)`)
    values.push(pattern, pattern, search)
  }
  const rows = db
    .sql(`SELECT * FROM sessions WHERE ${conditions.join(' AND ')} ORDER BY created_at DESC, id DESC LIMIT ?`)
    .all(...values, limit + 1)
    .map(toSession)
  return toPage(
    rows,
    limit,
    (session) => session,
    (session) => [session.createdAt, session.id],
  )
}
