// The fourth schema step: a session keeps its former number over a log-out.

export const schema4 = `
ALTER TABLE sessions ADD COLUMN former_phone_number TEXT;
`
