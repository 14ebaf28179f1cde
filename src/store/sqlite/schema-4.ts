// The fourth schema step: what is due is found endpoint by endpoint, so that what waits for one hides nothing of the others.

export const schema4 = `
DROP INDEX deliveries_due;
CREATE INDEX deliveries_due_to ON deliveries (endpoint_id, next_attempt_at) WHERE status IN ('pending', 'failed');
`
