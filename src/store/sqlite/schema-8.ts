// The eighth schema step: whose LID is known by which number.

export const schema8 = `
-- Of a LID: the recipient it is written to as. What is known of the person stands there.
ALTER TABLE contacts ADD COLUMN known_as TEXT;
`
