// Holds a session's queue against the store, which is the authority on order, and repairs what differs.
import { AppError } from '../platform/errors.ts'
import type { Lane, MessageStore, UnfinishedMessage } from '../store/message-store.ts'
import { lanes } from '../store/message-store.ts'
import type { SendQueues, WaitingJob } from './send-queue.ts'

export interface CompareDeps {
  messages: Pick<MessageStore, 'listUnfinished'>
  queues: Pick<SendQueues, 'listWaiting' | 'removeAll' | 'addAll'>
  /** False ends the comparison with `lease_lost`: another holder's comes next. */
  isTrusted: () => boolean
}

export interface QueueRepair {
  /** Ids whose rows are past sending or gone, and of jobs that are added again. */
  removed: string[]
  /** Rows to be put at the end of their lane's place ahead, in this order. */
  ahead: UnfinishedMessage[]
  /** The same for the end of their lane. */
  own: UnfinishedMessage[]
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
    const repair = planRepair(waiting, rows, Date.now(), rows.length < maxRows ? 'all' : 'oldest')
    if (!(await carryOut(deps, sessionId, repair))) return pass > 0
  }
  return true
}

/** Puts messages whose hold is over back into the queue, ahead of what came later. The same rules as for a comparison. */
export async function returnHeld(
  deps: Pick<CompareDeps, 'isTrusted'> & { queues: Pick<SendQueues, 'findWaiting' | 'removeAll' | 'addAll'> },
  sessionId: string,
  due: readonly UnfinishedMessage[],
): Promise<void> {
  const waiting = await deps.queues.findWaiting(
    sessionId,
    due.map(({ id }) => id),
  )
  await carryOut(deps, sessionId, planRepair(waiting, due, Date.now(), 'returning'))
}

async function carryOut(
  deps: Pick<CompareDeps, 'isTrusted'> & { queues: Pick<SendQueues, 'removeAll' | 'addAll'> },
  sessionId: string,
  { removed, ahead, own }: QueueRepair,
): Promise<boolean> {
  if (removed.length + ahead.length + own.length === 0) return false
  if (!deps.isTrusted()) throw new AppError('lease_lost')
  await deps.queues.removeAll(sessionId, removed)
  await deps.queues.addAll(sessionId, ahead, 'ahead')
  await deps.queues.addAll(sessionId, own)
  return true
}

/** What `rows` are: all of the session; its oldest ones; those that were held and are due, which stand before all others or in their place. */
type Known = 'all' | 'oldest' | 'returning'

/**
 * What makes each lane of `waiting` hold its rows by sequence. A message that is held back may wait in its place: it steps aside when its turn
 * comes. Jobs can only be added at the end of a lane, or at the end of the place ahead of it.
 */
export function planRepair(
  waiting: readonly WaitingJob[],
  rows: readonly UnfinishedMessage[],
  now: number,
  known: Known = 'all',
): QueueRepair {
  const byId = new Map(rows.map((row) => [row.id, row]))
  const gone = known === 'all' ? waiting.filter(({ id }) => !byId.has(id)).map(({ id }) => id) : []
  const repair: QueueRepair = { removed: gone, ahead: [], own: [] }
  for (const lane of lanes) repairLane(repair, waiting, byId, { lane, now, known })
  return repair
}

function repairLane(
  repair: QueueRepair,
  waiting: readonly WaitingJob[],
  byId: ReadonlyMap<string, UnfinishedMessage>,
  { lane, now, known }: { lane: Lane; now: number; known: Known },
): void {
  const jobs = waiting.flatMap((job) => {
    const row = byId.get(job.id)
    return row?.priority === lane ? [{ ...job, row }] : []
  })
  // A job in another lane's place is as good as none.
  const strayed = new Set(jobs.filter((job) => job.lane !== lane).map(({ id }) => id))
  const inLane = (isAhead: boolean) => jobs.filter((job) => job.isAhead === isAhead && !strayed.has(job.id)).map(({ row }) => row)
  const [ahead, own] = [inLane(true), inLane(false)]
  const present = new Set([...ahead, ...own].map(({ id }) => id))
  const isDue = ({ heldUntil }: UnfinishedMessage) => heldUntil === null || heldUntil <= now
  const missing = [...byId.values()].filter((row) => row.priority === lane && !present.has(row.id) && isDue(row))
  // Whoever stands ahead comes before all others; what is missing and older than these belongs there too.
  const lastAhead = latest(ahead)
  const firstOwn = own.length > 0 || known === 'returning' ? earliest(own) : -Infinity
  const bound = Math.max(lastAhead, firstOwn)
  const joining = [...missing.filter(({ sequence }) => sequence < bound), ...own.filter(({ sequence }) => sequence < lastAhead)]
  const isJoining = new Set(joining.map(({ id }) => id))
  const staying = (row: UnfinishedMessage) => !isJoining.has(row.id)
  const plannedAhead = endOf(ahead, joining)
  const plannedOwn = endOf(own.filter(staying), missing.filter(staying))
  repair.ahead.push(...plannedAhead)
  repair.own.push(...plannedOwn)
  const again = [...plannedAhead, ...plannedOwn].map(({ id }) => id)
  repair.removed.push(...again.filter((id) => present.has(id)), ...strayed)
}

/** What must be (re-)added at the end so that `found` with `added` is in order: everything from the first gap or disorder on. */
function endOf(found: readonly UnfinishedMessage[], added: readonly UnfinishedMessage[]): UnfinishedMessage[] {
  let cut = earliest(added)
  let oldestBehind = Infinity
  for (const { sequence } of found.toReversed()) {
    if (sequence > oldestBehind) cut = Math.min(cut, sequence)
    oldestBehind = Math.min(oldestBehind, sequence)
  }
  return [...found, ...added].filter(({ sequence }) => sequence >= cut).toSorted((a, b) => a.sequence - b.sequence)
}

function earliest(rows: readonly UnfinishedMessage[]): number {
  return rows.reduce((least, { sequence }) => Math.min(least, sequence), Infinity)
}

function latest(rows: readonly UnfinishedMessage[]): number {
  return rows.reduce((most, { sequence }) => Math.max(most, sequence), -Infinity)
}
