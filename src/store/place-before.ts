// Where a time stands in a log whose events stand in the order of their commits: by halving, and past what wrong clocks have written.

interface Dated {
  place: number
  at: number
}

export interface DatedLog {
  /** The last place that was given. */
  newest(): Promise<number>
  /** At most `limit` events from a place on, in order. */
  from(place: number, limit: number): Promise<Dated[]>
  /** At most `limit` events before a place, the nearest first. */
  before(place: number, limit: number): Promise<Dated[]>
}

/** Looked at together: among events of a clock that is behind there is one of a clock that is not. */
const sampleSize = 16
/** A clock that was behind for no more events than this hides nothing that lies before them. */
const lookBack = 10_000
const maxRounds = 20

/** The place before the first event of that time or later. */
export async function placeBeforeTime(log: DatedLog, at: number): Promise<number> {
  const newest = await log.newest()
  const [first] = await log.from(0, 1)
  if (!first) return newest
  let end = newest + 1
  for (let round = 0; round < maxRounds; round += 1) {
    const found = await halve(log, at, first.place, end)
    const earlier = (await log.before(found, lookBack)).findLast((event) => event.at >= at)
    if (!earlier) return found - 1
    end = earlier.place
  }
  return end - 1
}

/** The first event from `low` on of that time or later, if times rise with places; `high` when there is none before it. */
async function halve(log: DatedLog, at: number, low: number, high: number): Promise<number> {
  const hitFrom = async (place: number) => (await log.from(place, sampleSize)).find((event) => event.at >= at)
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (await hitFrom(middle)) high = middle
    else low = middle + 1
  }
  return (await hitFrom(low))?.place ?? low
}
