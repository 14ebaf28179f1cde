// Ends all messages of a session that can no longer leave: it was logged out, deleted, or paired with another number.
import { errorTable } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { describeMessage } from '../messages/message-events.ts'
import { retryStore } from '../messages/retry-store.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import type { Store } from '../store/store.ts'

const page = 200

export async function failUnfinished(
  deps: {
    store: { messages: Pick<Store['messages'], 'failUnfinished'> }
    announce: (published: PublishedEvent[]) => void
    ending: AbortSignal
    log: Log
  },
  sessionId: string,
  code: 'session_logged_out' | 'session_deleted',
): Promise<void> {
  const error = { code, detail: errorTable[code].title }
  for (let failedCount = 0; ;) {
    const write = () => deps.store.messages.failUnfinished(sessionId, error, Date.now(), page, describeMessage)
    const outcomes = await retryStore(write, deps)
    for (const { published } of outcomes) deps.announce(published)
    failedCount += outcomes.length
    if (outcomes.length < page) {
      if (failedCount > 0) deps.log.info({ sessionId, failedCount, code }, 'messages.failed')
      return
    }
  }
}
