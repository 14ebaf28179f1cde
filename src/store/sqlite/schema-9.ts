// The ninth schema step: when an endpoint has failed last, so that one that had nothing to take for a while begins anew.

export const schema9 = `
ALTER TABLE endpoints ADD COLUMN failed_at INTEGER;
`
