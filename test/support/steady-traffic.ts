// Numbered messages from many sessions to one phone, sent until told to stop, and what that phone then shows.
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../../src/platform/errors.ts'
import { waitFor } from './wait.ts'
import type { WorkerRig } from './worker-rig.ts'

export interface SteadyTraffic {
  /** Up to now. */
  readonly refusedCount: number
  /** How many were accepted for each session, and how many requests were refused because something was away. */
  stop(): Promise<{ counts: Map<string, number>; refusedCount: number }>
}

/** One message after the other, session by session. What is refused is asked for again, as a client does. */
export function sendSteadily(rig: WorkerRig, person: string, ids: readonly string[], everyMs = 20): SteadyTraffic {
  const ending = new AbortController()
  const counts = new Map(ids.map((id) => [id, 0]))
  let refusedCount = 0
  const send = async (id: string, index: number) => {
    const n = (counts.get(id) ?? 0) + 1
    while (!ending.signal.aborted) {
      try {
        await rig.send(id, person, `s${index} #${n}`)
        counts.set(id, n)
        return
      } catch (error) {
        if (!(error instanceof AppError && error.retryable)) throw error
        refusedCount += 1
        await sleep(100)
      }
    }
  }
  const run = async () => {
    while (!ending.signal.aborted) {
      for (const [index, id] of ids.entries()) await send(id, index)
      await sleep(everyMs)
    }
  }
  const done = run()
  done.catch(() => undefined)
  return {
    get refusedCount() {
      return refusedCount
    },
    stop: async () => {
      ending.abort()
      await done
      return { counts, refusedCount }
    },
  }
}

/** What the phone shows of each session, and what it should: every accepted message once, in order. */
export async function shownAndAccepted(rig: WorkerRig, person: string, counts: ReadonlyMap<string, number>, deadlineMs = 60_000) {
  const total = [...counts.values()].reduce((sum, n) => sum + n, 0)
  const arrived = async () => (await rig.sandbox.client.phone(person)).counts.distinctIds
  await waitFor(`${total} messages on the phone`, async () => (await arrived()) >= total, deadlineMs, 100)
  const texts = (await rig.sandbox.client.messages(person, { limit: 5_000 })).map(({ text }) => text)
  const bySession = (make: (index: number, count: number) => string[]) =>
    Object.fromEntries([...counts].map(([id, count], index) => [id, make(index, count)]))
  return {
    shown: bySession((index) => texts.filter((text) => text.startsWith(`s${index} `))),
    accepted: bySession((index, count) => Array.from({ length: count }, (_, n) => `s${index} #${n + 1}`)),
  }
}

export async function arrivals(rig: WorkerRig, person: string, count: number): Promise<void> {
  await waitFor(
    `${count} messages on the phone`,
    async () => (await rig.sandbox.client.phone(person)).counts.distinctIds >= count,
    30_000,
  )
}
