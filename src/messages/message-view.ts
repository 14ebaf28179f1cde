// A message as the API and its events show it.
import { isoTime } from '../platform/clock.ts'
import type { HeldBy, Lane, MessageAddress, MessageRecord, MessageStatus } from '../store/message-store.ts'

type OutboundTime = Exclude<MessageStatus, 'received'>

export interface MessageView {
  /** The content stands under the name of its type: `text`, `image`, … */
  [content: string]: unknown
  id: string
  sessionId: string
  direction: 'inbound' | 'outbound'
  to?: AddressView
  from?: AddressView
  type: string
  status: MessageStatus
  whatsappId: string
  priority: Lane
  /** How many leave before it; null when it is not queued, and in events. */
  position: number | null
  estimatedSendAt: string | null
  heldBy?: HeldBy
  heldUntil?: string
  error?: { code: string; detail: string }
  clientReference: string | null
  replyTo: string | null
  mentions?: string[]
  sendAt?: string
  expiresAt?: string
  timestamps: Partial<Record<`${OutboundTime}At`, string | null>> | { receivedAt: string }
}

interface AddressView {
  input: string
  phoneNumber: string | null
  lid: string | null
  groupId?: string
}

/** What only the queue knows at the moment of asking. */
export interface QueuePlace {
  position: number | null
  /** Milliseconds since the epoch. */
  estimatedSendAt: number | null
  /** What keeps it back at present, itself or with the one before it of its recipient. */
  hold: { heldBy: HeldBy; heldUntil: number } | null
}

const outboundTimes: readonly OutboundTime[] = [
  'queued',
  'sending',
  'sent',
  'delivered',
  'read',
  'played',
  'failed',
  'expired',
  'canceled',
]

export function messageView(message: MessageRecord, place: QueuePlace | null = null): MessageView {
  const { direction, sendAt, expiresAt } = message
  const { heldBy, heldUntil } = place ? (place.hold ?? { heldBy: null, heldUntil: null }) : message
  return {
    id: message.id,
    sessionId: message.sessionId,
    direction,
    [direction === 'outbound' ? 'to' : 'from']: addressView(message.address),
    type: message.type,
    ...message.content,
    status: message.status,
    whatsappId: message.whatsappId,
    priority: message.priority,
    position: place?.position ?? null,
    estimatedSendAt: place?.estimatedSendAt == null ? null : isoTime(place.estimatedSendAt),
    ...(heldBy === null ? {} : { heldBy }),
    ...(heldUntil === null ? {} : { heldUntil: isoTime(heldUntil) }),
    ...(message.error === null ? {} : { error: message.error }),
    clientReference: message.clientReference,
    replyTo: message.replyTo,
    ...(message.mentions.length === 0 ? {} : { mentions: message.mentions }),
    ...(sendAt === null ? {} : { sendAt: isoTime(sendAt) }),
    ...(expiresAt === null ? {} : { expiresAt: isoTime(expiresAt) }),
    timestamps: timestamps(message),
  }
}

function addressView(address: MessageAddress): AddressView {
  const { input, phoneNumber, lid, groupId } = address
  return { input, phoneNumber, lid, ...(groupId === null ? {} : { groupId }) }
}

function timestamps(message: MessageRecord): MessageView['timestamps'] {
  const { reachedAt } = message
  if (message.direction === 'inbound') return { receivedAt: isoTime(reachedAt.received ?? message.createdAt) }
  const times: Partial<Record<`${OutboundTime}At`, string | null>> = {}
  if (reachedAt.scheduled !== undefined) times.scheduledAt = isoTime(reachedAt.scheduled)
  for (const status of outboundTimes) {
    const at = reachedAt[status]
    times[`${status}At`] = at === undefined ? null : isoTime(at)
  }
  return times
}
