// What WhatsApp says later about messages we sent: receipts, and acks that came after their send was given up.
import type { Log } from '../platform/log.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import type { MessageStore, StatusChange } from '../store/message-store.ts'
import type { ReceiptUpdate } from '../whatsapp/whatsapp-client.ts'
import type { SendQueueDrain } from './drain-queue.ts'
import { describeMessage } from './message-events.ts'
import { receiptCount } from './message-metrics.ts'
import { retryStore } from './retry-store.ts'

export interface ReceiptDeps {
  messages: Pick<MessageStore, 'advanceByWhatsappId'>
  announce: (published: PublishedEvent[]) => void
  /** The session's own. */
  drain: Pick<SendQueueDrain, 'acknowledge'>
  /** Aborts when nothing may be waited for any longer: a write the store refuses then is given up. */
  ending: AbortSignal
  log: Log
}

/** A receipt counts as an ack. Statuses only move forward; ids that are not ours are skipped. Rejects only when `ending` aborts: it then comes again. */
export async function recordReceipt(deps: ReceiptDeps, sessionId: string, update: ReceiptUpdate): Promise<void> {
  await deps.drain.acknowledge(update.whatsappIds)
  await advance(deps, sessionId, update.whatsappIds, { to: update.status, at: update.at })
}

/** Rejects only when `ending` aborts. */
export async function recordLateAck(
  deps: ReceiptDeps,
  sessionId: string,
  update: { whatsappId: string; at: number },
): Promise<void> {
  await advance(deps, sessionId, [update.whatsappId], { to: 'sent', at: update.at })
}

async function advance(deps: ReceiptDeps, sessionId: string, whatsappIds: string[], change: StatusChange): Promise<void> {
  try {
    const write = () => deps.messages.advanceByWhatsappId(sessionId, whatsappIds, change, describeMessage)
    for (const { published } of await retryStore(write, deps)) {
      receiptCount.inc({ status: change.to })
      deps.announce(published)
    }
  } catch (err) {
    if (deps.ending.aborted) throw err
    deps.log.error({ err, sessionId, status: change.to }, 'receipt.lost')
  }
}
