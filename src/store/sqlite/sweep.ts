// Retention in SQLite: one bounded step over everything that grows.
import type { RetentionPolicy } from '../store.ts'
import type { SqliteDatabase } from './database.ts'

/** Row numbers rise with time, so what is old enough stands before a boundary, and nothing after it is looked at. */
const sweeps = [
  {
    keptFor: 'messagesMs',
    boundary: 'SELECT created_at AS at FROM messages WHERE n >= ? ORDER BY n LIMIT 1',
    edges: 'SELECT min(n) AS low, max(n) AS high FROM messages',
    remove: `DELETE FROM messages WHERE n IN (SELECT n FROM messages WHERE n < ? AND updated_at < ?
      AND status NOT IN ('scheduled', 'queued', 'sending') ORDER BY n LIMIT ?)`,
  },
  {
    keptFor: 'deliveriesMs',
    boundary: 'SELECT created_at AS at FROM deliveries WHERE n >= ? ORDER BY n LIMIT 1',
    edges: 'SELECT min(n) AS low, max(n) AS high FROM deliveries',
    remove: 'DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries WHERE n < ? AND updated_at < ? ORDER BY n LIMIT ?)',
  },
  {
    keptFor: 'eventsMs',
    boundary: 'SELECT at FROM events WHERE n >= ? ORDER BY n LIMIT 1',
    edges: 'SELECT min(n) AS low, max(n) AS high FROM events',
    note: `UPDATE event_log SET swept_to = max(swept_to, coalesce(
      (SELECT max(n) FROM (SELECT n FROM events WHERE n < ? AND at < ? ORDER BY n LIMIT ?)), 0)) WHERE id = 1`,
    remove: 'DELETE FROM events WHERE n IN (SELECT n FROM events WHERE n < ? AND at < ? ORDER BY n LIMIT ?)',
  },
  {
    keptFor: 'healthSamplesMs',
    boundary: 'SELECT at FROM health_samples WHERE n >= ? ORDER BY n LIMIT 1',
    edges: 'SELECT min(n) AS low, max(n) AS high FROM health_samples',
    remove: 'DELETE FROM health_samples WHERE n IN (SELECT n FROM health_samples WHERE n < ? AND at < ? ORDER BY n LIMIT ?)',
  },
] as const satisfies SweepStep[]

interface SweepStep {
  keptFor: keyof RetentionPolicy
  boundary: string
  edges: string
  /** Run before `remove`, in its transaction and with its parameters. */
  note?: string
  remove: string
}

export async function sweep(
  db: SqliteDatabase,
  policy: RetentionPolicy,
  now: number,
  limit: number,
): Promise<{ removed: number }> {
  let removed = 0
  for (const step of sweeps as readonly SweepStep[]) {
    const before = now - policy[step.keptFor]
    const boundary = await db.read(() => firstAtOrAfter(db, step, before))
    if (boundary === null) continue
    const room = limit - removed
    removed += await db.write(() => {
      if (step.note) db.sql(step.note).run(boundary, before, room)
      return Number(db.sql(step.remove).run(boundary, before, room).changes)
    })
    if (removed >= limit) return { removed }
  }
  removed += await db.write(() =>
    Number(
      db
        .sql(
          `DELETE FROM idempotency_keys WHERE (session_id, key) IN
             (SELECT session_id, key FROM idempotency_keys WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
        )
        .run(now, limit - removed).changes,
    ),
  )
  if (removed >= limit) return { removed }
  removed += await db.write(() =>
    Number(
      db
        .sql(
          `DELETE FROM replays WHERE n IN
             (SELECT n FROM replays WHERE status <> 'running' AND updated_at < ? ORDER BY updated_at LIMIT ?)`,
        )
        .run(now - policy.deliveriesMs, limit - removed).changes,
    ),
  )
  return { removed }
}

/** The least row number whose time is `before` or later, one past the last when there is none; null when nothing is older. */
function firstAtOrAfter(db: SqliteDatabase, step: SweepStep, before: number): number | null {
  const edges = db.sql(step.edges).get()
  const first = edges?.['low']
  if (typeof first !== 'number') return null
  let low = first
  let high = (edges?.['high'] as number) + 1
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const at = db.sql(step.boundary).get(middle)?.['at']
    if (typeof at === 'number' && at < before) low = middle + 1
    else high = middle
  }
  return low === first ? null : low
}
