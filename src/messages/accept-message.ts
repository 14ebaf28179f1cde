// Accepting a message: stored with its WhatsApp id and idempotency key in one write, then enqueued, then its holder is woken.
import type { Redis } from 'ioredis'
import { withDeadline } from '../platform/clock.ts'
import { sha256Hex } from '../platform/crypto.ts'
import { AppError } from '../platform/errors.ts'
import { isId } from '../platform/id.ts'
import type { Log } from '../platform/log.ts'
import { wakeSession } from '../sessions/live-session.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import type { MessageRecord, MessageStore } from '../store/message-store.ts'
import type { SessionStore } from '../store/session-store.ts'
import { parseAddress } from '../whatsapp/address.ts'
import { describeMessage } from './message-events.ts'
import { canonicalJson, idempotencyTtlMs, newOutboundMessage, type MessageRequest } from './message.ts'
import type { SendQueues } from './send-queue.ts'

export interface AcceptDeps {
  sessions: Pick<SessionStore, 'get'>
  messages: Pick<MessageStore, 'accept' | 'get'>
  /** Over the same connection as `redis`. */
  queues: Pick<SendQueues, 'add'>
  /** A 'producer' connection. */
  redis: Redis
  prefix: string
  announce: (published: PublishedEvent[]) => void
  log: Log
}

export interface AcceptInput {
  sessionId: string
  request: MessageRequest
  idempotencyKey: string | null
}

/** Together well below the two seconds within which a request must be answered when Redis is away. */
const redisCheckMs = 1_200
const enqueueMs = 500
const queueFullRetrySeconds = 5

/**
 * @throws AppError `invalid_request`, `not_found`, `redis_unavailable` and `store_unavailable` (nothing stored), `queue_full`,
 * `idempotency_key_reused`, `accept_outcome_unknown`
 */
export async function acceptMessage(
  deps: AcceptDeps,
  input: AcceptInput,
): Promise<{ message: MessageRecord; replayed: boolean }> {
  const { sessionId, request, idempotencyKey } = input
  const { recipient, address } = parseAddress(request.to)
  const [session] = await Promise.all([deps.sessions.get(sessionId), requireRedis(deps.redis)])
  if (!session || session.deletedAt !== null) throw new AppError('not_found')
  await requireReplyTarget(deps, input)

  const now = Date.now()
  const accepted = await deps.messages.accept(
    {
      message: newOutboundMessage({ sessionId, request, recipient, address, now }),
      idempotency:
        idempotencyKey === null
          ? null
          : { key: idempotencyKey, bodyHash: sha256Hex(canonicalJson(request)), expiresAt: now + idempotencyTtlMs },
      maxQueueDepth: session.settings.maxQueueDepth,
      now,
    },
    describeMessage,
  )
  switch (accepted.outcome) {
    case 'accepted':
      deps.announce(accepted.published)
      await enqueue(deps, accepted.message)
      return { message: accepted.message, replayed: false }
    case 'replayed':
      return { message: accepted.message, replayed: true }
    case 'key_reused':
      throw new AppError('idempotency_key_reused')
    case 'queue_full':
      throw new AppError('queue_full', `${accepted.depth} messages are queued already, as many as \`maxQueueDepth\` allows.`, {
        retryAfterSeconds: queueFullRetrySeconds,
      })
    case 'no_session':
      throw new AppError('not_found')
  }
}

/** What is stored is accepted: a failure here is repaired by the holder's comparison of store and queue. */
async function enqueue(deps: AcceptDeps, message: MessageRecord): Promise<void> {
  const { sessionId, id } = message
  const wake = () => wakeSession(deps.redis, deps.prefix, sessionId)
  const added = deps.queues.add(sessionId, id, message.priority)
  // Not before the job has landed: a holder woken too early finds nothing.
  added.then(wake).catch((err: unknown) => deps.log.warn({ err, sessionId, messageId: id }, 'message.enqueue_failed'))
  await withDeadline(added, enqueueMs).catch(() => undefined)
}

const pings = new WeakMap<Redis, Promise<void>>()

/** Requests that arrive together share one ping. */
async function requireRedis(redis: Redis): Promise<void> {
  const known = pings.get(redis)
  if (known) return known
  const ping = askRedis(redis).finally(() => pings.delete(redis))
  pings.set(redis, ping)
  return ping
}

async function askRedis(redis: Redis): Promise<void> {
  try {
    if (redis.status !== 'ready') throw new Error(`the connection is ${redis.status}`)
    await withDeadline(redis.ping(), redisCheckMs)
  } catch (cause) {
    throw new AppError('redis_unavailable', undefined, { cause, retryAfterSeconds: 1 })
  }
}

/** A message of ours that is quoted must exist in this session; an unknown WhatsApp id is quoted without its text. */
async function requireReplyTarget(deps: AcceptDeps, { sessionId, request }: AcceptInput): Promise<void> {
  const { replyTo } = request
  if (replyTo === null || !isId('msg', replyTo)) return
  if (await deps.messages.get(sessionId, replyTo)) return
  const message = 'names a message that this session does not have'
  throw new AppError('invalid_request', `\`replyTo\` ${message}.`, { errors: [{ path: 'replyTo', message }] })
}
