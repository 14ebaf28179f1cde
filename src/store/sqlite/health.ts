// Health samples in SQLite.
import { inboundEventTypes } from '../event-store.ts'
import type { AckedMessage, FleetHealth, HealthSample, HealthStore, SessionWork } from '../health-store.ts'
import type { SqliteDatabase } from './database.ts'

export function createHealth(db: SqliteDatabase): HealthStore {
  return {
    append: (samples) =>
      db.write(() => {
        // A sample of a session that was removed meanwhile would stay for nobody.
        const insert = db.sql(
          `INSERT INTO health_samples (session_id, at, score, level, reasons, signals, actions)
           SELECT id, ?, ?, ?, ?, ?, ? FROM sessions WHERE id = ?`,
        )
        for (const { sessionId, at, score, level, reasons, signals, actions } of samples) {
          insert.run(at, score, level, JSON.stringify(reasons), JSON.stringify(signals), JSON.stringify(actions), sessionId)
        }
      }),

    latest: (sessionId) =>
      db.read(() => {
        const row = db.sql('SELECT * FROM health_samples WHERE session_id = ? ORDER BY at DESC, n DESC LIMIT 1').get(sessionId)
        return row ? toSample(row) : null
      }),

    list: (sessionId, since, limit) =>
      db.read(() =>
        db
          .sql('SELECT * FROM health_samples WHERE session_id = ? AND at >= ? ORDER BY at DESC, n DESC LIMIT ?')
          .all(sessionId, since, limit)
          .map(toSample)
          .toReversed(),
      ),

    merge: (sessionId, merges) =>
      db.write(() => {
        const update = db.sql(
          `UPDATE health_samples SET score = ?, level = ?, reasons = ?, signals = ?, actions = ? WHERE session_id = ? AND at = ?`,
        )
        const remove = db.sql('DELETE FROM health_samples WHERE session_id = ? AND at = ?')
        for (const { into, from } of merges) {
          const { at, score, level, reasons, signals, actions } = into
          update.run(score, level, JSON.stringify(reasons), JSON.stringify(signals), JSON.stringify(actions), sessionId, at)
          for (const other of from) if (other !== at) remove.run(sessionId, other)
        }
      }),

    work: (sessionIds, now) =>
      db.read(() => {
        const found = new Map<string, SessionWork>()
        for (const id of sessionIds) {
          const work = workOf(db, id, now)
          if (work) found.set(id, work)
        }
        return found
      }),

    traffic: (sessionId, after, until) =>
      db.read(() => {
        const row = db
          .sql(
            `SELECT coalesce(sum(type = 'message.sent'), 0) AS sent,
               coalesce(sum(type IN (${inboundEventTypes.map((type) => `'${type}'`).join()})), 0) AS received
             FROM events WHERE session_id = ? AND sequence > ? AND sequence <= ?`,
          )
          .get(sessionId, after, until)
        return { sentCount: Number(row?.['sent']), receivedCount: Number(row?.['received']) }
      }),

    overview: (now, limit) => db.read(() => overviewOf(db, now, limit)),

    sent: (sessionId, after, until, limit) =>
      db.read(() =>
        // The plus keeps to the index by session, which has the type of each event too.
        db
          .sql(
            `SELECT data ->> '$.message.id' AS id FROM events
             WHERE session_id = ? AND sequence > ? AND sequence <= ? AND +type = 'message.sent' ORDER BY sequence DESC LIMIT ?`,
          )
          .all(sessionId, after, until, limit)
          .map(({ id }) => String(id)),
      ),

    acked: (sessionId, ids) => db.read(() => listAcked(db, sessionId, ids)),
  }
}

function workOf(db: SqliteDatabase, sessionId: string, now: number): SessionWork | null {
  const counters = db.sql('SELECT event_sequence, depth FROM session_counters WHERE session_id = ?').get(sessionId)
  if (!counters) return null
  const work: SessionWork = {
    revision: counters['event_sequence'] as number,
    depth: counters['depth'] as number,
    oldestQueuedAt: null,
    readySince: null,
    sendingSince: null,
  }
  if (work.depth === 0) return work
  const queued = `SELECT coalesce(reached_at ->> 'queued', created_at) AS at FROM messages
    WHERE session_id = ? AND lane = ? AND status IN ('queued', 'sending')`
  const first = db.sql(`${queued} ORDER BY sequence LIMIT 1`)
  const ready = db.sql(`${queued} AND (held_until IS NULL OR held_until <= ?) ORDER BY sequence LIMIT 1`)
  for (const lane of [1, 2, 3]) {
    work.oldestQueuedAt = earlier(work.oldestQueuedAt, first.get(sessionId, lane)?.['at'])
    work.readySince = earlier(work.readySince, ready.get(sessionId, lane, now)?.['at'])
  }
  const sending = db.sql(
    `SELECT min(reached_at ->> 'sending') AS at FROM messages WHERE session_id = ? AND status = 'sending' AND direction = 'outbound'`,
  )
  work.sendingSince = earlier(null, sending.get(sessionId)?.['at'])
  return work
}

function overviewOf(db: SqliteDatabase, now: number, limit: number): FleetHealth {
  const isOff = `claimable = 0 AND status_reason IS 'requested'`
  const byLevel = db.sql(
    `SELECT health ->> 'level' AS level, count(*) AS count FROM sessions
     WHERE deleted_at IS NULL AND health IS NOT NULL AND NOT (${isOff}) GROUP BY level`,
  )
  const sickest = db.sql(
    `SELECT id AS sessionId, health ->> 'score' AS score FROM sessions
     WHERE deleted_at IS NULL AND health ->> 'score' < 100 AND NOT (${isOff}) ORDER BY score, id LIMIT ?`,
  )
  const waiting = db.sql(`SELECT count(*) AS count FROM messages WHERE status IN ('queued', 'sending')`).get()
  const sending = db.sql(`SELECT count(*) AS count FROM messages WHERE status IN ('queued', 'sending') AND status = 'sending'`)
  const scheduled = db.sql(`SELECT count(*) AS count FROM messages WHERE status = 'scheduled'`).get()
  const oldest = db.sql(
    `SELECT min(m.updated_at) AS at FROM sessions s CROSS JOIN messages m ON m.session_id = s.id
     WHERE s.status = 'connected' AND s.deleted_at IS NULL AND m.status IN ('queued', 'sending')
       AND (m.held_until IS NULL OR m.held_until <= ?)`,
  )
  const sendingCount = Number(sending.get()?.['count'])
  return {
    levels: Object.fromEntries(byLevel.all().map(({ level, count }) => [String(level), Number(count)])),
    sickest: sickest.all(limit).map((row) => ({ sessionId: String(row['sessionId']), score: Number(row['score']) })),
    unfinished: {
      scheduled: Number(scheduled?.['count']),
      queued: Number(waiting?.['count']) - sendingCount,
      sending: sendingCount,
    },
    oldestReadyAt: earlier(null, oldest.get(now)?.['at']),
  }
}

function earlier(known: number | null, other: unknown): number | null {
  if (typeof other !== 'number') return known
  return known === null ? other : Math.min(known, other)
}

/** The plus keeps to the index by id: by session SQLite would read all that the session has. */
function listAcked(db: SqliteDatabase, sessionId: string, ids: readonly string[]): AckedMessage[] {
  const wanted = db.sql(
    `SELECT id, status, recipient, reached_at ->> 'sending' AS sending_at, reached_at ->> 'sent' AS sent_at FROM messages
     WHERE id IN (SELECT value FROM json_each(?)) AND +session_id = ?`,
  )
  const rows = new Map(wanted.all(JSON.stringify(ids), sessionId).map((row) => [row['id'], row]))
  return ids.flatMap((id) => {
    const { status, recipient, sending_at: sendingAt, sent_at: sentAt } = rows.get(id) ?? {}
    if (typeof sentAt !== 'number') return []
    const handedOverAt = typeof sendingAt === 'number' ? sendingAt : sentAt
    return [{ id, recipient: String(recipient), sendingAt: handedOverAt, sentAt, isDelivered: status !== 'sent' }]
  })
}

function toSample(row: Record<string, unknown>): HealthSample {
  return {
    sessionId: row['session_id'] as string,
    at: row['at'] as number,
    score: row['score'] as number,
    level: row['level'] as string,
    reasons: JSON.parse(row['reasons'] as string) as HealthSample['reasons'],
    signals: JSON.parse(row['signals'] as string) as HealthSample['signals'],
    actions: JSON.parse(row['actions'] as string) as HealthSample['actions'],
  }
}
