// The seventh schema step: the endpoints that are not enabled are counted by why.

export const schema7 = `
CREATE INDEX endpoints_disabled ON endpoints (disabled_reason) WHERE enabled = 0;
`
