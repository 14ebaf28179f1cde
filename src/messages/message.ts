// What a message is and the limits it lives by; pure rules, no I/O.
import { newId, whatsappIdOf } from '../platform/id.ts'
import type { Lane, MessageAddress, MessageRecord } from '../store/message-store.ts'

/** Sockets a message is tried on before its outcome counts as unknown for good. */
export const maxSockets = 10
/** The same, in time since it was first handed to a socket. */
export const maxSendingMs = 24 * 3600_000
export const idempotencyTtlMs = 24 * 3600_000

/** What a user asks to send, after validation and with every default filled in: two equal requests are equal here. */
export interface MessageRequest {
  /** As the user wrote it. */
  to: string
  type: string
  /** `{ text: { body, linkPreview } }`: the part of the body that `type` names. */
  content: Record<string, unknown>
  priority: Lane
  /** A message id of ours, or a WhatsApp id. */
  replyTo: string | null
  /** Phone numbers, digits only. */
  mentions: string[]
  clientReference: string | null
  /** Not before this time; one that has passed means now. Milliseconds since the epoch, here and below. */
  sendAt: number | null
  /** Never after this time. */
  expiresAt: number | null
}

export function newOutboundMessage(input: {
  sessionId: string
  request: MessageRequest
  recipient: string
  address: MessageAddress
  now: number
}): MessageRecord {
  const { sessionId, request, recipient, address, now } = input
  const id = newId('msg', now)
  const status = request.sendAt !== null && request.sendAt > now ? 'scheduled' : 'queued'
  return {
    id,
    sessionId,
    direction: 'outbound',
    address,
    recipient,
    participant: null,
    type: request.type,
    content: request.content,
    status,
    whatsappId: whatsappIdOf(id),
    priority: request.priority,
    sequence: null,
    sendAt: request.sendAt,
    expiresAt: request.expiresAt,
    heldBy: null,
    heldUntil: null,
    error: null,
    clientReference: request.clientReference,
    replyTo: request.replyTo,
    mentions: request.mentions,
    attemptCount: 0,
    reachedAt: { [status]: now },
    createdAt: now,
    updatedAt: now,
  }
}

/** It may have arrived, nobody ever said so, and trying on would hold up its lane for ever. */
export function isOutcomeUnknown(message: Pick<MessageRecord, 'attemptCount' | 'reachedAt'>, now: number): boolean {
  return message.attemptCount >= maxSockets || isSendingTooLong(message, now)
}

export function isSendingTooLong(message: Pick<MessageRecord, 'reachedAt'>, now: number): boolean {
  return now - (message.reachedAt.sending ?? now) >= maxSendingMs
}

/** One text for equal values, whatever the order of their fields. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`).join(',')}}`
}
