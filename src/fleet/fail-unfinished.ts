// Ends all messages of a session that can no longer leave, scheduled ones too: it was logged out, deleted, or paired with another number.
import { errorTable } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { describeMessage } from '../messages/message-events.ts'
import { retryStore } from '../messages/retry-store.ts'
import type { Lease } from '../sessions/lease.ts'
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
  { sessionId, epoch }: Pick<Lease, 'sessionId' | 'epoch'>,
  code: 'session_logged_out' | 'session_deleted',
): Promise<void> {
  const error = { code, detail: errorTable[code].title }
  for (let failedCount = 0; ;) {
    const input = { sessionId, epoch, error, at: Date.now(), limit: page }
    const { failed, isEmpty } = await retryStore(() => deps.store.messages.failUnfinished(input, describeMessage), deps)
    for (const { published } of failed) deps.announce(published)
    failedCount += failed.length
    if (isEmpty) {
      if (failedCount > 0) deps.log.info({ sessionId, failedCount, code }, 'messages.failed')
      return
    }
  }
}
