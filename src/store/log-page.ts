// A page of the event log, made of the rows that follow a place: where it ends, and whether its reader has missed something.

/**
 * Readers may hold places of events that a backup lacks. So after a restore places go on with the next multiple of this: what they hold then
 * lies in a gap, and no place is given twice. Of the whole log, and of the sequences of a session, which receivers may keep in 32 bits.
 */
export const placeSteps = { fleet: 1e11, session: 1e8 } as const

interface LogQuery<Row> {
  /** Those after `after`, at most one more than `limit`. */
  found: Row[]
  place: (row: Row) => number
  /** Undefined begins with the oldest one that is kept. */
  after: number | undefined
  /** The last place that was given, or jumped over by a restore. */
  newest: number
  /** Retention has removed everything after `after` and up to here. */
  sweptTo: number
  limit: number
  step: number
}

interface Page<Row> {
  rows: Row[]
  next: string
  hasMore: boolean
  oldestPlace: string | null
}

/** A page ends before a gap, and who comes to a gap is told once; what follows it is given all the same, as after what was swept. */
export function pageOfLog<Row>({ found, place, after, newest, sweptTo, limit, step }: LogQuery<Row>): Page<Row> {
  const partOf = (position: number) => Math.floor(position / step)
  const [first] = found
  const head = first === undefined ? newest : place(first) - 1
  const isAtGap = after !== undefined && partOf(after) < partOf(head)
  const part = partOf(isAtGap ? head : (after ?? head))
  const gapFollows = partOf(newest) > part
  const rows = found.filter((row) => partOf(place(row) - 1) === part)
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  const hasMore = rows.length > limit || gapFollows
  const oldest = after === undefined ? 0 : Math.max(sweptTo, isAtGap ? part * step : 0)
  return {
    rows: page,
    next: String(last && hasMore ? place(last) : Math.max(newest, last ? place(last) : 0)),
    hasMore,
    oldestPlace: oldest > (after ?? 0) ? String(oldest) : null,
  }
}
