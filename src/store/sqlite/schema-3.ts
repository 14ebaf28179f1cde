// The third schema step: replays, the deliveries they make, and how far retention has come in the event log.

export const schema3 = `
ALTER TABLE deliveries ADD COLUMN replay_id TEXT;
CREATE INDEX deliveries_replayed ON deliveries (replay_id) WHERE replay_id IS NOT NULL AND status = 'pending';

CREATE TABLE replays (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  endpoint_id TEXT NOT NULL,
  session_id TEXT,
  since INTEGER NOT NULL,
  until INTEGER NOT NULL,
  types TEXT NOT NULL,
  status TEXT NOT NULL,
  place TEXT,
  delivery_count INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX replays_by_endpoint ON replays (endpoint_id);
CREATE UNIQUE INDEX replays_running ON replays (endpoint_id) WHERE status = 'running';
CREATE INDEX replays_in_turn ON replays (n) WHERE status = 'running';
CREATE INDEX replays_ended ON replays (updated_at) WHERE status <> 'running';

-- One row. What a reader has not seen up to here was removed before it came.
CREATE TABLE event_log (id INTEGER PRIMARY KEY, swept_to INTEGER NOT NULL) STRICT;
INSERT INTO event_log SELECT 1, coalesce((SELECT min(n) - 1 FROM events), (SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0);
`
