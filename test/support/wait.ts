// Waiting for what must become true, with a deadline and a sentence that says what did not.

/** Polls until `check` gives something other than undefined, null or false. */
export async function waitFor<T>(
  what: string,
  check: () => T | Promise<T>,
  deadlineMs = 15_000,
  everyMs = 20,
): Promise<NonNullable<Exclude<T, false>>> {
  const end = performance.now() + deadlineMs
  for (;;) {
    const value = await check()
    if (value !== undefined && value !== null && value !== false) return value as NonNullable<Exclude<T, false>>
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}
