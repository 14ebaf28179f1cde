// What users ask to send, as requests of the product; and what became of each message of a batch.
import type { AcceptInput, Accepted } from '../messages/accept-message.ts'
import type { MessageRequest } from '../messages/message.ts'
import { messageView, type QueuePlace } from '../messages/message-view.ts'
import { AppError } from '../platform/errors.ts'
import { parsePhoneNumber } from '../whatsapp/address.ts'
import { checkMessage } from './not-yet-supported.ts'
import { invalidRequest, retryAfterOf } from './problem.ts'
import { batchItemBody, sendHeaders, type BatchItem, type SendMessageBody } from './schemas/message-schemas.ts'

const maxAheadMs = 366 * 24 * 3_600_000

/** @throws AppError `invalid_request`, `not_yet_supported` */
export function messageRequest(body: SendMessageBody): MessageRequest {
  checkMessage(body)
  checkTimes(body)
  return {
    to: body.to,
    type: body.type,
    content: { text: body.text },
    priority: body.priority,
    replyTo: body.replyTo ?? null,
    mentions: (body.mentions ?? []).map((text, index) => parsePhoneNumber(text, `mentions.${index}`)),
    clientReference: body.clientReference ?? null,
    sendAt: body.sendAt ?? null,
    expiresAt: body.expiresAt ?? null,
  }
}

/** What a repeated request met the first time it must meet again: nothing here may change from good to bad as time passes. */
function checkTimes({ sendAt, expiresAt }: SendMessageBody): void {
  const errors: { path: string; message: string }[] = []
  if (sendAt !== undefined && sendAt > Date.now() + maxAheadMs)
    errors.push({ path: 'sendAt', message: 'is more than a year ahead' })
  if (sendAt !== undefined && expiresAt !== undefined && expiresAt <= sendAt) {
    errors.push({ path: 'expiresAt', message: 'is not after sendAt' })
  }
  if (errors.length > 0) throw new AppError('invalid_request', undefined, { errors })
}

/** @throws AppError `invalid_request` */
export function idempotencyKeyOf(headers: Record<string, unknown>): string | null {
  const given = headers['idempotency-key']
  if (given === undefined) return null
  const parsed = sendHeaders.safeParse({ 'Idempotency-Key': given })
  if (!parsed.success) throw invalidRequest(parsed.error, 'headers')
  return parsed.data['Idempotency-Key'] ?? null
}

/** An item that does not fit fails alone. */
export function batchItem(item: BatchItem, defaultKey: string | null): Omit<AcceptInput, 'sessionId'> | AppError {
  if ('unfitting' in item) return whyUnfitting(item.unfitting)
  const { idempotencyKey, ...body } = item.fitting
  try {
    return { request: messageRequest(body), idempotencyKey: idempotencyKey ?? defaultKey }
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
}

function whyUnfitting(item: unknown): AppError {
  const { error } = batchItemBody.safeParse(item)
  return error ? invalidRequest(error) : new AppError('invalid_request')
}

export function batchResult(outcome: Accepted | AppError, places: ReadonlyMap<string, QueuePlace>) {
  if (!(outcome instanceof AppError)) {
    const message = messageView(outcome.message, places.get(outcome.message.id))
    return { status: 202, ...(outcome.replayed ? { replayed: true } : {}), message }
  }
  const { status, code, message, errors } = outcome
  const retryAfterSeconds = retryAfterOf(outcome)
  const more = { ...(errors ? { errors } : {}), ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) }
  return { status, error: { code, detail: message, ...more } }
}
