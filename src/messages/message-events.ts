// Which events a change of a message makes: the `describe` callbacks that the store runs inside its transactions.
import type { Describe, EventType } from '../store/event-store.ts'
import type { MessageRecord, MessageStatus } from '../store/message-store.ts'
import { messageView } from './message-view.ts'

/** `scheduled` is not told: the 202 says it, and `message.queued` follows. */
const eventOf: Record<MessageStatus, EventType | null> = {
  scheduled: null,
  queued: 'message.queued',
  sending: 'message.sending',
  sent: 'message.sent',
  delivered: 'message.delivered',
  read: 'message.read',
  played: 'message.played',
  failed: 'message.failed',
  expired: 'message.expired',
  canceled: 'message.canceled',
  received: 'message.received',
}

/** What somebody does to a message that is there already; everything else that comes in is a message. */
const changeEvents = new Map<string, EventType>([
  ['reaction', 'message.reaction'],
  ['edit', 'message.edited'],
  ['delete', 'message.deleted'],
])

/** The event of the status the message has reached, with the message as GET shows it. */
export const describeMessage: Describe<MessageRecord> = (after) => {
  const change = after.status === 'received' ? changeEvents.get(after.type) : undefined
  const type = change ?? eventOf[after.status]
  return type === null ? [] : [{ type, data: { message: messageView(after) } }]
}
