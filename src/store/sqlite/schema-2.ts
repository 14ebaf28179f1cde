// The second schema: who has written to whom, messages held back, and the depth of each lane.

export const schema2 = `
CREATE TABLE contacts (
  session_id TEXT NOT NULL,
  recipient TEXT NOT NULL,
  first_outbound_at INTEGER,
  first_inbound_at INTEGER,
  last_inbound_at INTEGER,
  PRIMARY KEY (session_id, recipient)
) STRICT, WITHOUT ROWID;
CREATE INDEX contacts_written_to ON contacts (session_id, first_outbound_at, first_inbound_at) WHERE first_outbound_at IS NOT NULL;

CREATE INDEX messages_held ON messages (session_id, held_until, held_by) WHERE status = 'queued' AND held_until IS NOT NULL;
CREATE INDEX messages_held_chain ON messages (session_id, lane, recipient, sequence)
  WHERE status = 'queued' AND held_until IS NOT NULL;

-- Of \`depth\`; the rest is normal.
ALTER TABLE session_counters ADD COLUMN depth_high INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session_counters ADD COLUMN depth_bulk INTEGER NOT NULL DEFAULT 0;
UPDATE session_counters SET
  depth_high = (SELECT count(*) FROM messages m WHERE m.session_id = session_counters.session_id AND lane = 1 AND status IN ('queued', 'sending')),
  depth_bulk = (SELECT count(*) FROM messages m WHERE m.session_id = session_counters.session_id AND lane = 3 AND status IN ('queued', 'sending'));
INSERT INTO contacts (session_id, recipient, first_outbound_at, first_inbound_at, last_inbound_at)
  SELECT session_id, recipient, min(CASE WHEN direction = 'outbound' THEN created_at END),
    min(CASE WHEN direction = 'inbound' THEN created_at END), max(CASE WHEN direction = 'inbound' THEN created_at END)
  FROM messages WHERE recipient NOT LIKE '%@g.us' AND status IN ('sent', 'delivered', 'read', 'played', 'received')
  GROUP BY session_id, recipient;
`
