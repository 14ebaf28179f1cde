// A receiver's answer without what was sent to it in headers: their values are write-only, and some receivers show what they got.
const mask = '***'
/** What is shorter is no secret, and would be found in any text. */
const leastLength = 8

/**
 * `answer` may end anywhere when `isCut`: the beginning of a value at its end goes too.
 * Best effort: a value that the receiver encodes in some way of its own is not found.
 */
export function hideEchoes(answer: string, values: readonly string[], isCut: boolean): string {
  const hidden = values
    // `Bearer` and the token, too, where only the token comes back.
    .flatMap((value) => [value, ...value.split(/\s+/)])
    .flatMap((text) => [text, JSON.stringify(text).slice(1, -1)])
    .filter((text) => text.length >= leastLength)
    .toSorted((a, b) => b.length - a.length)
  const longest = hidden[0]?.length ?? 0
  const masked = hidden.reduce((text, each) => text.replaceAll(each, mask), answer)
  return isCut && longest > 0 ? masked.slice(0, 1 - longest) : masked
}
