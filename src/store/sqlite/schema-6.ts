// The sixth schema step: a session's scheduled messages are found in the order in which they are due.

export const schema6 = `
CREATE INDEX messages_scheduled ON messages (session_id, send_at) WHERE status = 'scheduled';
`
