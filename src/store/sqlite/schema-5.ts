// The fifth schema step: what is due is found endpoint by endpoint, so that what waits for one hides nothing of the others.

export const schema5 = `
DROP INDEX deliveries_due;
CREATE INDEX deliveries_due_to ON deliveries (endpoint_id, next_attempt_at) WHERE status IN ('pending', 'failed');
`
