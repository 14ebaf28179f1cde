// Sessions as rows of SQLite and back.
import { staleEpoch } from '../fenced-writes.ts'
import type { SessionIntent, SessionRecord, SessionSettings, SessionStatus } from '../session-store.ts'
import type { SqliteDatabase } from './database.ts'

interface SessionRow {
  id: string
  epoch: number
  status: SessionStatus
  claimable: number
  intent: SessionIntent
  intent_revision: number
  deleted_at: number | null
  created_at: number
  updated_at: number
  last_event_at: number | null
  last_connected_at: number | null
  status_reason: string | null
  phone_number: string | null
  lid: string | null
  push_name: string | null
  former_phone_number: string | null
  network: 'whatsapp' | 'sandbox' | null
  pairing_phone_number: string | null
  pairing_started_at: number | null
  restriction: string | null
  health: string | null
  display_name: string
  settings: string
  metadata: string
}

export function toSession(raw: Record<string, unknown>): SessionRecord {
  const row = raw as unknown as SessionRow
  return {
    id: row.id,
    displayName: row.display_name,
    status: row.status,
    statusReason: row.status_reason,
    phoneNumber: row.phone_number,
    lid: row.lid,
    pushName: row.push_name,
    formerPhoneNumber: row.former_phone_number,
    restriction: row.restriction === null ? null : (JSON.parse(row.restriction) as SessionRecord['restriction']),
    health: row.health === null ? null : (JSON.parse(row.health) as SessionRecord['health']),
    settings: JSON.parse(row.settings) as SessionSettings,
    metadata: JSON.parse(row.metadata) as Record<string, string>,
    pairingPhoneNumber: row.pairing_phone_number,
    pairingStartedAt: row.pairing_started_at,
    network: row.network,
    intent: row.intent,
    intentRevision: row.intent_revision,
    claimable: row.claimable === 1,
    epoch: row.epoch,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    lastConnectedAt: row.last_connected_at,
    lastEventAt: row.last_event_at,
    deletedAt: row.deleted_at,
  }
}

export function findSession(db: SqliteDatabase, id: string): SessionRecord | null {
  const row = db.sql('SELECT * FROM sessions WHERE id = ?').get(id)
  return row ? toSession(row) : null
}

/** @throws AppError `stale_epoch` when the stored epoch is another one, or the session is gone. Must run inside `write`. */
export function requireEpoch(db: SqliteDatabase, sessionId: string, epoch: number): void {
  const row = db.sql('SELECT epoch FROM sessions WHERE id = ?').get(sessionId)
  if (row?.['epoch'] !== epoch) throw staleEpoch()
}

const columns = `id, epoch, status, claimable, intent, intent_revision, deleted_at, created_at, updated_at, last_event_at,
  last_connected_at, status_reason, phone_number, lid, push_name, network, pairing_phone_number, pairing_started_at,
  restriction, health, display_name, settings, metadata, former_phone_number`
const insertSql = `INSERT INTO sessions (${columns}) VALUES (${columns.replace(/\w+/g, '?')})`
const updateSql = `UPDATE sessions SET (${columns}) = (${columns.replace(/\w+/g, '?')}) WHERE id = ?`

export function insertSession(db: SqliteDatabase, session: SessionRecord): void {
  db.sql(insertSql).run(...valuesOf(session))
}

export function saveSession(db: SqliteDatabase, session: SessionRecord): void {
  db.sql(updateSql).run(...valuesOf(session), session.id)
}

/** In the order of `columns`. */
function valuesOf(s: SessionRecord): (string | number | null)[] {
  return [
    s.id,
    s.epoch,
    s.status,
    s.claimable ? 1 : 0,
    s.intent,
    s.intentRevision,
    s.deletedAt,
    s.createdAt,
    s.updatedAt,
    s.lastEventAt,
    s.lastConnectedAt,
    s.statusReason,
    s.phoneNumber,
    s.lid,
    s.pushName,
    s.network,
    s.pairingPhoneNumber,
    s.pairingStartedAt,
    s.restriction === null ? null : JSON.stringify(s.restriction),
    s.health === null ? null : JSON.stringify(s.health),
    s.displayName,
    JSON.stringify(s.settings),
    JSON.stringify(s.metadata),
    s.formerPhoneNumber,
  ]
}
