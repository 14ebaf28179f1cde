// Which worker process holds which session of a rig.
import { waitFor } from './wait.ts'
import type { WorkerProcess } from './worker-process.ts'
import type { WorkerRig } from './worker-rig.ts'

/** The process id is a part of the incarnation. */
async function holderPid(rig: WorkerRig, id: string): Promise<number> {
  const { holder } = await rig.live(id)
  return Number(/-(\d+)-[a-z0-9]+-[a-f0-9]+\.\d+$/.exec(holder ?? '')?.[1])
}

export async function heldBy(rig: WorkerRig, worker: WorkerProcess, ids: readonly string[]): Promise<string[]> {
  const pids = await Promise.all(ids.map((id) => holderPid(rig, id)))
  return ids.filter((_, index) => pids[index] === worker.pid)
}

export async function areConnected(rig: WorkerRig, ids: readonly string[]): Promise<boolean> {
  const states = await Promise.all(ids.map((id) => rig.live(id)))
  return states.every(({ state }) => state === 'connected')
}

/** All of them connected through this worker. */
export async function waitHolder(
  rig: WorkerRig,
  worker: WorkerProcess,
  ids: readonly string[],
  deadlineMs: number,
): Promise<void> {
  await waitFor(
    `all sessions connected through ${worker.pid}`,
    async () => (await areConnected(rig, ids)) && (await heldBy(rig, worker, ids)).length === ids.length,
    deadlineMs,
  )
}

/** Sessions paired with phones of their own, numbered from `first`. */
export async function pairSessions(rig: WorkerRig, count: number, first = 254700000100): Promise<string[]> {
  const ids: string[] = []
  for (let i = 0; i < count; i += 4) {
    const some = Array.from({ length: Math.min(4, count - i) }, (_, at) => i + at)
    const paired = some.map(async (index) => {
      const id = await rig.addSession()
      await rig.pair(id, String(first + index))
      return id
    })
    ids.push(...(await Promise.all(paired)))
  }
  return ids
}
