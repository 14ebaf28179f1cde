// The last step of a deletion: everything of a session but what it told, in steps small enough for others to write in between.
import { removeContactsSql } from './contacts.ts'
import type { SqliteDatabase } from './database.ts'

const stepSize = 500

/**
 * What can be many, removed page by page; each page is fenced anew. The session itself goes last, so that a crash leaves it claimable.
 * Events and the deliveries of fleet-wide endpoints stay until retention sweeps them: their readers may not have had them yet.
 */
const pages = [
  'DELETE FROM messages WHERE n IN (SELECT n FROM messages WHERE session_id = ? LIMIT ?)',
  'DELETE FROM idempotency_keys WHERE (session_id, key) IN (SELECT session_id, key FROM idempotency_keys WHERE session_id = ? LIMIT ?)',
  `DELETE FROM deliveries WHERE n IN (
     SELECT n FROM deliveries WHERE endpoint_id IN (SELECT id FROM endpoints WHERE session_id = ?) LIMIT ?)`,
  removeContactsSql,
  'DELETE FROM health_samples WHERE n IN (SELECT n FROM health_samples WHERE session_id = ? LIMIT ?)',
]
const rest = [
  'DELETE FROM credentials WHERE session_id = ?',
  'DELETE FROM data_keys WHERE session_id = ?',
  'DELETE FROM api_keys WHERE session_id = ?',
  'DELETE FROM delivery_counts WHERE endpoint_id IN (SELECT id FROM endpoints WHERE session_id = ?)',
  'DELETE FROM replays WHERE endpoint_id IN (SELECT id FROM endpoints WHERE session_id = ?)',
  'DELETE FROM endpoints WHERE session_id = ?',
  'DELETE FROM session_counters WHERE session_id = ?',
  'DELETE FROM sessions WHERE id = ?',
]

export async function removeSession(db: SqliteDatabase, sessionId: string, requireHeld: () => void): Promise<void> {
  // Credentials go first of all: if the rest takes long, nobody can use them any more.
  await db.write(() => {
    requireHeld()
    for (const sql of rest.slice(0, 3)) db.sql(sql).run(sessionId)
  })
  for (const sql of pages) {
    const removePage = () => {
      requireHeld()
      return Number(db.sql(sql).run(sessionId, stepSize).changes)
    }
    while ((await db.write(removePage)) === stepSize);
  }
  await db.write(() => {
    requireHeld()
    for (const sql of [...pages, ...rest]) {
      if (sql.endsWith('LIMIT ?)')) db.sql(sql).run(sessionId, -1)
      else db.sql(sql).run(sessionId)
    }
  })
}
