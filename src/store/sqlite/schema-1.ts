// The first schema: all tables, and an index for every question that is asked of them.

export const schema1 = `
CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  epoch INTEGER NOT NULL,
  status TEXT NOT NULL,
  claimable INTEGER NOT NULL,
  intent TEXT NOT NULL,
  intent_revision INTEGER NOT NULL,
  deleted_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  last_event_at INTEGER,
  last_connected_at INTEGER,
  status_reason TEXT,
  phone_number TEXT,
  lid TEXT,
  push_name TEXT,
  network TEXT,
  pairing_phone_number TEXT,
  pairing_started_at INTEGER,
  restriction TEXT,
  health TEXT,
  display_name TEXT NOT NULL,
  settings TEXT NOT NULL,
  metadata TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_newest ON sessions (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX sessions_by_status ON sessions (status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX sessions_claimable ON sessions (id) WHERE claimable = 1;

-- What changes with every message stands apart from the settings, so that small rows are rewritten.
CREATE TABLE session_counters (
  session_id TEXT PRIMARY KEY,
  message_sequence INTEGER NOT NULL DEFAULT 0,
  event_sequence INTEGER NOT NULL DEFAULT 0,
  depth INTEGER NOT NULL DEFAULT 0,
  scheduled INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  session_id TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  prefix TEXT NOT NULL,
  scopes TEXT NOT NULL,
  expires_at INTEGER,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_by_session ON api_keys (session_id, created_at, id);

CREATE TABLE credentials (
  session_id TEXT NOT NULL,
  type TEXT NOT NULL,
  id TEXT NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (session_id, type, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE data_keys (
  session_id TEXT PRIMARY KEY,
  master_key_id TEXT NOT NULL,
  wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  session_id TEXT NOT NULL,
  direction TEXT NOT NULL,
  status TEXT NOT NULL,
  lane INTEGER NOT NULL,
  sequence INTEGER,
  recipient TEXT NOT NULL,
  participant TEXT,
  whatsapp_id TEXT NOT NULL,
  send_at INTEGER,
  expires_at INTEGER,
  held_by TEXT,
  held_until INTEGER,
  attempt_count INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  reached_at TEXT NOT NULL,
  address TEXT NOT NULL,
  error TEXT,
  client_reference TEXT,
  reply_to TEXT,
  mentions TEXT NOT NULL,
  type TEXT NOT NULL,
  content TEXT NOT NULL
) STRICT;
CREATE INDEX messages_newest ON messages (session_id, direction, created_at);
CREATE INDEX messages_newest_of_all ON messages (created_at);
CREATE INDEX messages_by_status ON messages (session_id, status, created_at);
CREATE INDEX messages_by_recipient ON messages (session_id, recipient, created_at);
-- Holds everything that order depends on, so that the rows themselves are not read for it.
CREATE INDEX messages_unfinished ON messages (session_id, lane, sequence, held_until, recipient, updated_at)
  WHERE status IN ('queued', 'sending');
CREATE INDEX messages_due ON messages (send_at) WHERE status = 'scheduled';
CREATE INDEX messages_expiring ON messages (expires_at) WHERE expires_at IS NOT NULL AND status IN ('queued', 'scheduled');
CREATE UNIQUE INDEX messages_sent_id ON messages (session_id, whatsapp_id) WHERE direction = 'outbound';
CREATE UNIQUE INDEX messages_received_id ON messages (session_id, whatsapp_id, recipient, coalesce(participant, ''))
  WHERE direction = 'inbound';

CREATE TABLE idempotency_keys (
  session_id TEXT NOT NULL,
  key TEXT NOT NULL,
  body_hash TEXT NOT NULL,
  message_id TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (session_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_expiring ON idempotency_keys (expires_at);

-- AUTOINCREMENT: a cursor must never point at another event after the newest ones were swept.
CREATE TABLE events (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  session_id TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  type TEXT NOT NULL,
  at INTEGER NOT NULL,
  data TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_session ON events (session_id, sequence, type);
CREATE INDEX events_by_type ON events (type);

CREATE TABLE endpoints (
  id TEXT PRIMARY KEY,
  session_id TEXT,
  url TEXT NOT NULL,
  events TEXT NOT NULL,
  sealed_headers BLOB,
  sealed_secret BLOB NOT NULL,
  sealed_previous_secret BLOB,
  previous_secret_until INTEGER,
  enabled INTEGER NOT NULL,
  disabled_reason TEXT,
  failing_since INTEGER,
  last_success_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX endpoints_listening ON endpoints (session_id, id, events) WHERE enabled = 1;
CREATE INDEX endpoints_by_session ON endpoints (session_id, created_at, id);
CREATE INDEX endpoints_newest ON endpoints (created_at, id);

CREATE TABLE deliveries (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  event_id TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  event_type TEXT NOT NULL,
  status TEXT NOT NULL,
  attempt_count INTEGER NOT NULL,
  next_attempt_at INTEGER,
  dead_reason TEXT,
  attempts TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint_id);
CREATE INDEX deliveries_by_status ON deliveries (endpoint_id, status);
CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE status IN ('pending', 'failed');

CREATE TABLE delivery_counts (
  endpoint_id TEXT NOT NULL,
  status TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (endpoint_id, status)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER deliveries_counted_in AFTER INSERT ON deliveries BEGIN
  INSERT INTO delivery_counts VALUES (NEW.endpoint_id, NEW.status, 1)
    ON CONFLICT (endpoint_id, status) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER deliveries_counted_out AFTER DELETE ON deliveries BEGIN
  UPDATE delivery_counts SET count = count - 1 WHERE endpoint_id = OLD.endpoint_id AND status = OLD.status;
END;
CREATE TRIGGER deliveries_counted_over AFTER UPDATE OF status ON deliveries WHEN OLD.status <> NEW.status BEGIN
  UPDATE delivery_counts SET count = count - 1 WHERE endpoint_id = OLD.endpoint_id AND status = OLD.status;
  INSERT INTO delivery_counts VALUES (NEW.endpoint_id, NEW.status, 1)
    ON CONFLICT (endpoint_id, status) DO UPDATE SET count = count + 1;
END;

CREATE TABLE health_samples (
  n INTEGER PRIMARY KEY,
  session_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  score INTEGER NOT NULL,
  level TEXT NOT NULL,
  reasons TEXT NOT NULL,
  signals TEXT NOT NULL,
  actions TEXT NOT NULL
) STRICT;
CREATE INDEX health_samples_by_session ON health_samples (session_id, at);
`
