// Waiting with a deadline; what did not come true is named.
import { setTimeout as sleep } from 'node:timers/promises'

export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  withinMs: number,
  everyMs = 100,
): Promise<void> {
  const end = performance.now() + withinMs
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`Waited ${Math.round(withinMs / 1000)} s in vain: ${what}.`)
    await sleep(everyMs)
  }
}
