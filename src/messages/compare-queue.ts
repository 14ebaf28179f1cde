// Holds a session's queue against the store, which is the authority on order, and repairs what differs.
import { AppError } from '../platform/errors.ts'
import type { Lane, MessageStore, UnfinishedMessage } from '../store/message-store.ts'
import { lanes } from '../store/message-store.ts'
import type { SendQueues } from './send-queue.ts'

export interface CompareDeps {
  messages: Pick<MessageStore, 'listUnfinished'>
  queues: Pick<SendQueues, 'listWaiting' | 'removeAll' | 'addAll'>
  /** False ends the comparison with `lease_lost`: another holder's comes next. */
  isTrusted: () => boolean
}

export interface QueueRepair {
  /** Ids whose rows are past sending, held back or gone. */
  removed: string[]
  /** Rows to be put at the end of their lane, in this order; those in `moved` are there already, in the wrong place. */
  added: UnfinishedMessage[]
  moved: string[]
}

/** Of a longer queue this much is compared, and the rest when these have left. */
const maxRows = 100_000
/** Messages accepted during a repair may make another one necessary, of these few alone. */
const maxPasses = 5

/**
 * Only for the session's holder, with no job active. Interrupted at any point it leaves a queue that the next comparison repairs.
 * True when something had to be changed.
 */
export async function compareQueue(deps: CompareDeps, sessionId: string): Promise<boolean> {
  for (let pass = 0; pass < maxPasses; pass += 1) {
    // The queue first: whatever it holds was in the store before, so what the store does not list has ended.
    const waiting = await deps.queues.listWaiting(sessionId)
    const rows = await deps.messages.listUnfinished(sessionId, { limit: maxRows })
    const repair = planRepair(waiting, rows, Date.now())
    if (rows.length === maxRows) repair.removed = []
    if (repair.removed.length === 0 && repair.added.length === 0) return pass > 0
    if (!deps.isTrusted()) throw new AppError('lease_lost')
    await deps.queues.removeAll(sessionId, [...repair.removed, ...repair.moved])
    await deps.queues.addAll(sessionId, repair.added)
  }
  return true
}

/** What makes each lane of `waiting` hold exactly the rows not held back, by sequence. Jobs can only be added at the end of a lane. */
export function planRepair(waiting: readonly string[], rows: readonly UnfinishedMessage[], now: number): QueueRepair {
  const due = new Map(rows.filter((row) => row.heldUntil === null || row.heldUntil <= now).map((row) => [row.id, row]))
  const repair: QueueRepair = { removed: waiting.filter((id) => !due.has(id)), added: [], moved: [] }
  for (const lane of lanes) repairLane(repair, waiting, due, lane)
  return repair
}

function repairLane(repair: QueueRepair, waiting: readonly string[], due: Map<string, UnfinishedMessage>, lane: Lane): void {
  const expected = [...due.values()].filter((row) => row.priority === lane).toSorted((a, b) => a.sequence - b.sequence)
  const found = waiting.flatMap((id) => {
    const row = due.get(id)
    return row?.priority === lane ? [row] : []
  })
  const present = new Set(found.map((row) => row.id))
  // Everything from `cut` on goes to the end anew: the first missing row, or the first that stands before an older one.
  let cut = expected.find((row) => !present.has(row.id))?.sequence ?? Infinity
  let oldestBehind = Infinity
  for (const { sequence } of found.toReversed()) {
    if (sequence > oldestBehind) cut = Math.min(cut, sequence)
    oldestBehind = Math.min(oldestBehind, sequence)
  }
  const late = expected.filter((row) => row.sequence >= cut)
  repair.added.push(...late)
  repair.moved.push(...late.filter((row) => present.has(row.id)).map((row) => row.id))
}
