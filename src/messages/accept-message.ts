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
import type { SessionRecord, SessionStore } from '../store/session-store.ts'
import { parseAddress } from '../whatsapp/address.ts'
import { describeMessage } from './message-events.ts'
import { acceptedCount } from './message-metrics.ts'
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

export interface Accepted {
  message: MessageRecord
  replayed: boolean
  /** As it was when the message was accepted. */
  session: SessionRecord
  /** How many unfinished ones stand before it; null when it is scheduled, or accepted earlier. */
  position: number | null
}

/**
 * @throws AppError `invalid_request`, `not_found`, `redis_unavailable` and `store_unavailable` (nothing stored), `queue_full`,
 * `idempotency_key_reused`, `accept_outcome_unknown`
 */
export async function acceptMessage(deps: AcceptDeps, { sessionId, ...item }: AcceptInput): Promise<Accepted> {
  const { recipient, address } = parseAddress(item.request.to)
  const session = await requireReady(deps, sessionId)
  await requireReplyTarget(deps, sessionId, item.request)
  return accept(deps, session, { ...item, recipient, address })
}

/**
 * Each for itself, in the order given; what one fails with stands in its place.
 * @throws AppError `not_found`, `redis_unavailable`: none of them is stored then
 */
export async function acceptBatch(
  deps: AcceptDeps,
  sessionId: string,
  items: readonly (Omit<AcceptInput, 'sessionId'> | AppError)[],
): Promise<(Accepted | AppError)[]> {
  const session = await requireReady(deps, sessionId)
  const checked = await Promise.all(
    items.map((item) =>
      caught(async () => {
        if (item instanceof AppError) throw item
        const { recipient, address } = parseAddress(item.request.to)
        await requireReplyTarget(deps, sessionId, item.request)
        return { ...item, recipient, address }
      }),
    ),
  )
  // All at once, in order: the store takes what one process writes for one session in the order in which it is asked.
  return Promise.all(checked.map(async (item) => (item instanceof AppError ? item : caught(() => accept(deps, session, item)))))
}

async function caught<T>(work: () => Promise<T>): Promise<T | AppError> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
}

async function requireReady(deps: AcceptDeps, sessionId: string): Promise<SessionRecord> {
  const [session] = await Promise.all([deps.sessions.get(sessionId), requireRedis(deps.redis)])
  if (!session || session.deletedAt !== null) throw new AppError('not_found')
  return session
}

async function accept(
  deps: AcceptDeps,
  session: SessionRecord,
  item: Omit<AcceptInput, 'sessionId'> & Pick<MessageRecord, 'recipient' | 'address'>,
): Promise<Accepted> {
  const { request, idempotencyKey, recipient, address } = item
  const now = Date.now()
  const accepted = await deps.messages.accept(
    {
      message: newOutboundMessage({ sessionId: session.id, request, recipient, address, now }),
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
      acceptedCount.inc({ priority: accepted.message.priority })
      deps.announce(accepted.published)
      if (accepted.message.status === 'queued') await enqueue(deps, accepted.message)
      return { message: accepted.message, replayed: false, session, position: accepted.position }
    case 'replayed':
      return { message: accepted.message, replayed: true, session, position: null }
    case 'key_reused':
      throw new AppError('idempotency_key_reused')
    case 'queue_full':
      throw new AppError('queue_full', queueFullDetail(accepted.depth), { retryAfterSeconds: queueFullRetrySeconds })
    case 'no_session':
      throw new AppError('not_found')
  }
}

function queueFullDetail(depth: number): string {
  return `${depth} messages wait already, as many as \`maxQueueDepth\` allows.`
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
async function requireReplyTarget(deps: AcceptDeps, sessionId: string, { replyTo }: MessageRequest): Promise<void> {
  if (replyTo === null || !isId('msg', replyTo)) return
  if (await deps.messages.get(sessionId, replyTo)) return
  const message = 'names a message that this session does not have'
  throw new AppError('invalid_request', `\`replyTo\` ${message}.`, { errors: [{ path: 'replyTo', message }] })
}
