// Health samples in SQLite.
import type { HealthSample, HealthStore } from '../health-store.ts'
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
          .sql('SELECT * FROM health_samples WHERE session_id = ? AND at >= ? ORDER BY at, n LIMIT ?')
          .all(sessionId, since, limit)
          .map(toSample),
      ),
  }
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
