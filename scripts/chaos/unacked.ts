// Kills a worker right after its messages have left and before anything that proves it can arrive: their outcome is unknown.
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultDeps } from './carry-out.ts'
import { readLiveSession } from '../../src/sessions/live-session.ts'
import { readWorkers } from './leftovers.ts'

/** Messages that must have left unacknowledged, and how long traffic has for that. */
const wantedFrames = 3
const framesMs = 6_000
const pollMs = 50

/** The process with the most such messages; undefined when none left in time. */
export async function workerWithUnacked({ sandbox, link, redis, fleet, sessions }: FaultDeps): Promise<number | undefined> {
  const { redisPrefix: prefix } = fleet.config
  let after = await sandbox.lastFrame()
  link.mute(1)
  const senders = new Set<string>()
  const end = performance.now() + framesMs
  while (senders.size < wantedFrames && performance.now() < end) {
    await sleep(pollMs)
    for (const frame of await sandbox.frames(after)) {
      after = frame.order
      senders.add(frame.phoneNumber)
    }
  }
  const pidOf = new Map((await readWorkers(redis, prefix)).map(({ incarnation, pid }) => [incarnation, pid]))
  const counts = new Map<number, number>()
  for (const { id, phoneNumber } of sessions) {
    if (!senders.has(phoneNumber)) continue
    const { holder } = await readLiveSession({ redis, prefix }, id)
    const pid = pidOf.get(holder ?? '')
    if (pid !== undefined) counts.set(pid, (counts.get(pid) ?? 0) + 1)
  }
  return [...counts].toSorted(([, a], [, b]) => b - a)[0]?.[0]
}
