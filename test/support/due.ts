// Messages whose time has come, as the scheduler finds and changes them, for tests of the store alone.
import type { Describe, Outcome } from '../../src/store/event-store.ts'
import type { MessagePlace, MessageRecord } from '../../src/store/message-store.ts'
import type { Store } from '../../src/store/store.ts'

type Messages = Store['messages']
type Due = (
  messages: Messages,
  now: number,
  limit: number,
  describe: Describe<MessageRecord>,
) => Promise<Outcome<MessageRecord>[]>

export const promoteDue: Due = async (messages, now, limit, describe) =>
  bySession(await messages.listDue(now, limit), (id, ids) => messages.promote(id, ids, now, describe))

export const expireDue: Due = async (messages, now, limit, describe) =>
  bySession(await messages.listExpired(now, limit), (id, ids) => messages.expire(id, ids, now, describe))

async function bySession(
  found: MessagePlace[],
  change: (sessionId: string, ids: string[]) => Promise<Outcome<MessageRecord>[]>,
): Promise<Outcome<MessageRecord>[]> {
  const outcomes: Outcome<MessageRecord>[] = []
  for (const [sessionId, places] of Map.groupBy(found, (place) => place.sessionId)) {
    outcomes.push(
      ...(await change(
        sessionId,
        places.map(({ id }) => id),
      )),
    )
  }
  return outcomes
}
