// Sending one message of which the queue gave us the job: take it in the store, hand it to the socket, record what came of it.
import type { Log } from '../platform/log.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import type { MessageRecord, MessageStore, StatusChange } from '../store/message-store.ts'
import type { OutgoingMessage, SendOutcome } from '../whatsapp/whatsapp-client.ts'
import { describeMessage } from './message-events.ts'
import type { LinkPreviews } from './link-preview.ts'
import { ackSeconds, sendCount, waitSeconds } from './message-metrics.ts'
import { isOutcomeUnknown, isSendingTooLong, maxSockets } from './message.ts'
import { outgoingMessage } from './outgoing-message.ts'
import { retryStore } from './retry-store.ts'
import { typingMsOf } from './typing-time.ts'

export interface SendDeps {
  messages: Pick<MessageStore, 'take' | 'advance' | 'get' | 'findByWhatsappId'>
  announce: (published: PublishedEvent[]) => void
  lease: { readonly epoch: number }
  /** The recipient sees "typing…" first. */
  isTyping: boolean
  /** Gives up waiting when `hurry` aborts. */
  previews: Pick<LinkPreviews, 'previewOf'>
  hurry: AbortSignal
  /** Hands it to the socket, unless the lease is gone; bounded. */
  deliver: (message: OutgoingMessage) => Promise<SendOutcome>
  /** Aborts when this holder ends. */
  ending: AbortSignal
  log: Log
}

export type SendVerdict =
  /** The job is done with. */
  | { kind: 'ended' }
  /** An older message of its lane must leave first. */
  | { kind: 'older_first' }
  /** The socket is dead; the same message comes first on the next one. */
  | { kind: 'again'; reason: string }

/** @throws AppError `stale_epoch`, or what the store throws: the message is then as it was, or `sending` */
export async function sendMessage(deps: SendDeps, sessionId: string, id: string): Promise<SendVerdict> {
  const taken = await deps.messages.take({ sessionId, id, epoch: deps.lease.epoch }, describeMessage)
  switch (taken.outcome) {
    case 'older_first':
      return { kind: 'older_first' }
    case 'ended':
      return { kind: 'ended' }
    case 'expired':
      deps.announce(taken.published)
      return { kind: 'ended' }
    case 'taken':
      deps.announce(taken.published)
      return taken.resend && isHopeless(taken.message)
        ? giveUp(deps, taken.message)
        : deliverTaken(deps, taken.message, taken.resend)
  }
}

async function deliverTaken(deps: SendDeps, message: MessageRecord, resend: boolean): Promise<SendVerdict> {
  const { queued, sending } = message.reachedAt
  if (!resend && queued !== undefined && sending !== undefined)
    waitSeconds.observe({ priority: message.priority }, Math.max(0, sending - queued) / 1_000)
  const outgoing = await outgoingMessage(deps.messages, message)
  const linkPreview = await deps.previews.previewOf(message, deps.hurry, deps.log)
  const typingMs = deps.isTyping && !resend ? typingMsOf(message) : 0
  const startedAt = performance.now()
  const outcome = await deps.deliver({ ...outgoing, ...(linkPreview ? { linkPreview } : {}), typingMs })
  sendCount.inc({ outcome: outcome.kind })
  const fields = { messageId: message.id, attempt: message.attemptCount, durationMs: Math.round(performance.now() - startedAt) }
  switch (outcome.kind) {
    case 'acked':
      ackSeconds.observe(Math.max(0, performance.now() - startedAt - typingMs) / 1_000)
      // WhatsApp counts in whole seconds: no time line may run backwards for that.
      await record(deps, message, {
        to: 'sent',
        at: Math.max(outcome.at, message.reachedAt.sending ?? 0),
        ...(outcome.lid === null ? {} : { address: { lid: outcome.lid } }),
      })
      deps.log.info({ ...fields, resend }, 'message.sent')
      return { kind: 'ended' }
    case 'rejected':
      await record(deps, message, {
        to: 'failed',
        at: Date.now(),
        error: failureOf(outcome, resend),
      })
      deps.log.info({ ...fields, code: outcome.code, ackError: outcome.ackError, resend }, 'message.failed')
      return { kind: 'ended' }
    case 'unknown':
      deps.log.info({ ...fields, reason: outcome.reason }, 'message.outcome_unknown')
      if (isOutcomeUnknown(message, Date.now())) await giveUp(deps, message)
      return { kind: 'again', reason: outcome.reason }
  }
}

/** A refusal says nothing of an earlier try that was never answered: what that one did is unknown, until a receipt tells. */
function failureOf(
  { code, detail }: Extract<SendOutcome, { kind: 'rejected' }>,
  resend: boolean,
): NonNullable<MessageRecord['error']> {
  if (!resend) return { code, detail }
  return { code: 'outcome_unknown', detail: `${detail} An earlier try was never answered: it may or may not have arrived.` }
}

/** Also a message during which worker after worker dies. */
function isHopeless(message: MessageRecord): boolean {
  return message.attemptCount > maxSockets || isSendingTooLong(message, Date.now())
}

async function giveUp(deps: SendDeps, message: MessageRecord): Promise<SendVerdict> {
  sendCount.inc({ outcome: 'gave_up' })
  const detail = `No acknowledgement from WhatsApp after ${message.attemptCount} tries. It may or may not have arrived.`
  await record(deps, message, { to: 'failed', at: Date.now(), error: { code: 'outcome_unknown', detail } })
  deps.log.warn({ messageId: message.id, attempt: message.attemptCount, code: 'outcome_unknown' }, 'message.failed')
  return { kind: 'ended' }
}

/** Null from the store: a receipt was faster and has moved it further. */
async function record(deps: SendDeps, message: MessageRecord, change: StatusChange): Promise<void> {
  const write = () => deps.messages.advance(message.sessionId, message.id, change, describeMessage)
  const outcome = await retryStore(write, deps)
  if (outcome) deps.announce(outcome.published)
}
