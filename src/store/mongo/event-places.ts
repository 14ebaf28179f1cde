// The order of the whole event log: each event gets its place after its commit, so that no place ever appears behind a reader.
import type { MongoDatabase } from './database.ts'

/** The counter, in `meta`. */
export const placesId = 'event places'
const placedAtOnce = 500
/** Places are given this long after a commit even if nobody reads. */
const delayMs = 200

/**
 * A number taken inside the writing transaction would not do: the transaction with the lower one may commit later, and a reader who has
 * seen the higher one would miss it. So places are given to committed events only, in one transaction that raises the counter: whoever
 * gives places at the same moment conflicts and comes later.
 */
export class EventPlaces {
  readonly #db: MongoDatabase
  #timer: NodeJS.Timeout | undefined

  constructor(db: MongoDatabase) {
    this.#db = db
  }

  /** Call after each commit with events. */
  soon(): void {
    if (this.#timer) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      // What fails here is done by the next one, at the latest by whoever reads the log.
      this.giveAll().catch(() => undefined)
    }, delayMs)
    this.#timer.unref()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  /** Resolves when every event that was committed before the call has its place. */
  async giveAll(): Promise<void> {
    while ((await this.#givePage()) === placedAtOnce);
  }

  async #givePage(): Promise<number> {
    const { events, meta } = this.#db.models
    // An index is used only with a bound on its first field; without it this reads the whole log.
    const waiting = await this.#db.read(async () => events.exists({ unplaced: true, at: { $gte: 0 } }))
    if (!waiting) return 0
    return this.#db.transact('event places', async (session) => {
      const page = await events
        .find({ unplaced: true }, { _id: 1 }, { session })
        .sort({ at: 1, sequence: 1 })
        .limit(placedAtOnce)
        .lean()
      if (page.length === 0) return 0
      const counter = await meta
        .findOneAndUpdate({ _id: placesId }, { $inc: { value: page.length } }, { session, upsert: true, returnDocument: 'after' })
        .lean()
      const first = (counter?.value ?? 0) - page.length + 1
      const updates = page.map(({ _id }, i) => ({
        updateOne: { filter: { _id }, update: { $set: { place: first + i }, $unset: { unplaced: 1 } } },
      }))
      await events.bulkWrite(updates, { session, ordered: true })
      return page.length
    })
  }
}
