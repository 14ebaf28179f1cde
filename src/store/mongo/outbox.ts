// Events and the deliveries they call for, written inside the transaction of the change they tell of.
import type { ClientSession } from 'mongoose'
import { newId } from '../../platform/id.ts'
import { isForFleetOnly, matchesEvent } from '../endpoint-pattern.ts'
import { firstAttemptGraceMs, type EventDraft, type PublishedEvent } from '../event-store.ts'
import type { MongoDatabase } from './database.ts'
import type { CountersDoc, DeliveryDoc, EventDoc } from './schemas.ts'

/** What a change does to its session's counters. */
export interface CounterChange {
  messageSequence?: number
  depth?: number
  depthHigh?: number
  depthBulk?: number
  scheduled?: number
}

/** A session that is gone publishes nothing. */
export async function publish(
  db: MongoDatabase,
  session: ClientSession,
  sessionId: string,
  drafts: EventDraft[],
  change: CounterChange = {},
): Promise<PublishedEvent[]> {
  const { messageSequence = 0, depth = 0, scheduled = 0, ...ofLanes } = change
  if (drafts.length === 0 && messageSequence === 0 && depth === 0 && scheduled === 0) return []
  const now = Date.now()
  const counters = await db.models.counters
    .findOneAndUpdate(
      { _id: sessionId },
      {
        $inc: { eventSequence: drafts.length, messageSequence, depth, scheduled, ...ofLanes },
        ...(drafts.length > 0 ? { $max: { lastEventAt: now } } : {}),
      },
      { session, returnDocument: 'after' },
    )
    .lean()
  if (!counters || drafts.length === 0) return []
  return insertEvents(db, session, counters, drafts, now)
}

/**
 * For what is told of a session that is gone, and its counters with it: after the last that the log keeps of it. A session of which it
 * keeps nothing publishes nothing.
 */
export async function publishOfGone(
  db: MongoDatabase,
  session: ClientSession,
  sessionId: string,
  drafts: EventDraft[],
): Promise<PublishedEvent[]> {
  const last = await db.models.events.findOne({ sessionId }, { sequence: 1 }, { session }).sort({ sequence: -1 }).lean()
  if (!last) return []
  const now = Date.now()
  const counters = { _id: sessionId, eventSequence: last.sequence + drafts.length, lastEventAt: now }
  return insertEvents(db, session, counters, drafts, now)
}

/** `now` dates the deliveries: after a clock that ran ahead the session's events keep its time for a while, but nothing waits for it. */
async function insertEvents(
  db: MongoDatabase,
  session: ClientSession,
  counters: Pick<CountersDoc, '_id' | 'eventSequence' | 'lastEventAt'>,
  drafts: EventDraft[],
  now: number,
): Promise<PublishedEvent[]> {
  const { _id: sessionId, eventSequence, lastEventAt: at } = counters
  const events: EventDoc[] = drafts.map((draft, i) => ({
    _id: newId('evt'),
    sessionId,
    sequence: eventSequence - drafts.length + 1 + i,
    type: draft.type,
    at,
    data: draft.data,
    unplaced: true,
  }))
  await db.models.events.insertMany(events, { session })
  const listening = await db.models.endpoints
    .find({ sessionId: { $in: [sessionId, null] }, enabled: true }, { sessionId: 1, events: 1 }, { session })
    .lean()
  const deliveries = events.flatMap((event) =>
    listening
      .filter((endpoint) => matchesEvent(endpoint.events, event.type) && (endpoint.sessionId === null || !isForFleetOnly(event)))
      .map((endpoint) =>
        newDelivery(
          {
            eventId: event._id,
            endpointId: endpoint._id,
            sessionId,
            eventType: event.type,
            nextAttemptAt: now + firstAttemptGraceMs,
          },
          now,
        ),
      ),
  )
  if (deliveries.length > 0) await db.models.deliveries.insertMany(deliveries, { session })
  return events.map((event) => ({
    event: { id: event._id, sessionId, sequence: event.sequence, type: event.type, at, data: event.data, cursor: '' },
    deliveries: deliveries
      .filter(({ eventId }) => eventId === event._id)
      .map((each) => ({ id: each._id, endpointId: each.endpointId })),
  }))
}

export function newDelivery(
  delivery: Pick<DeliveryDoc, 'eventId' | 'endpointId' | 'sessionId' | 'eventType' | 'nextAttemptAt'>,
  at: number,
  replayId: string | null = null,
): DeliveryDoc {
  return {
    _id: newId('dlv'),
    ...delivery,
    replayId,
    status: 'pending',
    open: true,
    attemptCount: 0,
    deadReason: null,
    attempts: [],
    createdAt: at,
    updatedAt: at,
  }
}
