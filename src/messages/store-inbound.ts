// An inbound message, reaction, edit or deletion becomes a stored one and its event, once however often WhatsApp hands it over.
import { newId } from '../platform/id.ts'
import type { Log } from '../platform/log.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import type { MessageRecord, MessageStore } from '../store/message-store.ts'
import type { InboundMessage } from '../whatsapp/whatsapp-client.ts'
import { describeMessage } from './message-events.ts'
import { receivedCount } from './message-metrics.ts'
import { retryStore } from './retry-store.ts'

export interface InboundDeps {
  messages: Pick<MessageStore, 'storeInbound'>
  announce: (published: PublishedEvent[]) => void
  /** Aborts when nothing may be waited for any longer. */
  ending: AbortSignal
  log: Log
}

/**
 * WhatsApp hears that it has arrived when this resolves: the store is asked until it takes it. Rejects only when `ending` aborts
 * before that; WhatsApp then hands it over again. What no repetition can store is given up, or it would end every socket.
 */
export async function storeInbound(deps: InboundDeps, sessionId: string, inbound: InboundMessage): Promise<void> {
  const message = inboundMessage(sessionId, inbound, Date.now())
  try {
    const stored = await retryStore(() => deps.messages.storeInbound(message, describeMessage), deps)
    if (!stored) return
    receivedCount.inc()
    deps.announce(stored.published)
  } catch (err) {
    if (deps.ending.aborted) throw err
    deps.log.error({ err, sessionId, messageId: message.id }, 'inbound.lost')
  }
}

export function inboundMessage(sessionId: string, inbound: InboundMessage, now: number): MessageRecord {
  const { pushName } = inbound
  return {
    id: newId('msg', now),
    sessionId,
    direction: 'inbound',
    address: {
      input: inbound.chat,
      phoneNumber: inbound.fromPhoneNumber,
      lid: inbound.fromLid,
      groupId: inbound.groupId,
    },
    recipient: inbound.chat,
    participant: inbound.participant,
    type: inbound.type,
    content: pushName === null ? inbound.content : { ...inbound.content, pushName },
    status: 'received',
    whatsappId: inbound.whatsappId,
    priority: 'normal',
    sequence: null,
    sendAt: null,
    expiresAt: null,
    heldBy: null,
    heldUntil: null,
    error: null,
    clientReference: null,
    replyTo: null,
    mentions: [],
    attemptCount: 0,
    reachedAt: { received: inbound.at },
    createdAt: now,
    updatedAt: now,
  }
}
