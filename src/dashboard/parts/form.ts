// Reading forms.

/** The trimmed text of a field; empty when there is none. */
export function textOf(fields: FormData, name: string): string {
  const value = fields.get(name)
  return typeof value === 'string' ? value.trim() : ''
}

/** Names with commas or spaces between. */
export function namesOf(fields: FormData, name: string): string[] {
  return textOf(fields, name)
    .split(/[\s,]+/)
    .filter((each) => each !== '')
}
