// Sessions as documents of MongoDB and back, and the fence that every write of a holder passes.
import type { ClientSession } from 'mongoose'
import { staleEpoch } from '../fenced-writes.ts'
import type { SessionRecord } from '../session-store.ts'
import type { MongoDatabase } from './database.ts'
import type { SessionDoc } from './schemas.ts'

export function toSession(doc: SessionDoc): SessionRecord {
  const { _id: id, fence: _, ...rest } = doc
  // Sessions made by an older version lack it.
  return { id, ...rest, formerPhoneNumber: rest.formerPhoneNumber ?? null }
}

export function toSessionDoc({ id: _id, ...rest }: SessionRecord): SessionDoc {
  return { _id, fence: 0, ...rest }
}

/**
 * The first statement of a fenced transaction. It writes, so that it conflicts with a claim at the same moment: reading the epoch would
 * let both commit.
 * @throws AppError `stale_epoch` when the stored epoch is another one, or the session is gone
 */
export async function passFence(
  db: MongoDatabase,
  session: ClientSession,
  sessionId: string,
  epoch: number,
): Promise<SessionRecord> {
  const found = await db.models.sessions
    .findOneAndUpdate({ _id: sessionId, epoch }, { $inc: { fence: 1 } }, { session, returnDocument: 'after' })
    .lean()
  if (!found) throw staleEpoch()
  return toSession(found)
}
